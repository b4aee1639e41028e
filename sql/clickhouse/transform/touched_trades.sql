-- How many trades ohlcv_base.sql would look at: loaded ones, and those in minutes of loaded klines, ids without a trade or lost rows. The neighbours of
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
        where interval = {interval:String}
            and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
-- [no_trades
        union distinct
        select
            venue,
            symbol,
            toStartOfInterval(arrayJoin([started_at - toIntervalMinute(1), started_at, started_at + toIntervalMinute(1)]), toIntervalSecond({grain:UInt32}))
        from silver_stream_events
        where event = 'no_trade' and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
-- no_trades]
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
