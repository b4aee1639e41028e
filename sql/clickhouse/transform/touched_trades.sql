-- How many trades ohlcv_base.sql would look at: loaded ones, and those in minutes of loaded klines, ids without a trade or lost rows;
-- and events of whole days. The neighbours of
-- loaded trades need no question of their own: without a loaded trade there are none.
select (
    select count()
    from silver_trades
    where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
) + (
    select count()
    from silver_trades
    where (venue, symbol, toStartOfInterval(trade_time, toIntervalSecond({grain:UInt32}))) in (
        select
            venue,
            symbol,
            toStartOfInterval(open_time, toIntervalSecond({grain:UInt32}))
        from silver_klines
        where interval in ('1s', '1m')
            and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
-- [lost
        union distinct
        select
            venue,
            symbol,
            toStartOfInterval(minute, toIntervalSecond({grain:UInt32}))
        from ops_lost_minutes
        where dataset in ('trades', 'klines')
            and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
-- lost]
    )
)
-- [no_trades
+ (
    select count()
    from silver_trades
    where (venue, symbol, trade_id) in (
        select
            venue,
            symbol,
            arrayJoin([toUInt64(from_update_id - 2), toUInt64(from_update_id - 1), to_update_id + 1, to_update_id + 2])
        from (
            select venue, symbol, toUInt64(ifNull(from_update_id, 0)) as from_update_id, toUInt64(ifNull(to_update_id, 0)) as to_update_id
            from silver_stream_events
            where event = 'no_trade' and channel = 'trades' and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
        )
    )
)
-- no_trades]
-- [whole_days
+ (
    select count()
    from silver_stream_events
    where event = 'backfilled' and channel = 'trades' and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
)
-- whole_days]
