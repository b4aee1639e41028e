-- How many trades ohlcv_base.sql would look at: loaded ones, and those in minutes of loaded klines or lost rows; and events of
-- whole days and of ids without a trade. And the days of all these, and those beside them: no other event is looked at. The
-- neighbours of loaded trades need no question of their own: without a loaded trade there are none.
select
    sum(rows) as found,
    arrayDistinct(arrayFlatten(arrayMap(day -> [day - 1, day, day + 1], groupUniqArrayArray(of)))) as days
from (
    select
        count() as rows,
        groupUniqArray(toDate(trade_time)) as of
    from silver_trades
    where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    union all
    select
        count(),
        groupUniqArray(toDate(trade_time))
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
-- [events
    union all
    select
        count(),
        groupUniqArray(toDate(started_at))
    from silver_stream_events
    where event in ('no_trade', 'backfilled') and channel = 'trades'
        and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
-- events]
)
