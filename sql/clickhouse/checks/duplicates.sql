-- Offends: a natural key that a view people query has more than once.
-- value: rows of that key. No parameters.
select
    venue,
    symbol,
    min(time) as at,
    toFloat64(count()) as value,
    format('{} {} is there {} times', view, key, toString(count())) as detail
from (
    select 'trades' as view, venue, symbol, trade_time as time, toString(trade_id) as key
    from trades
    where trade_time >= {since:DateTime64(6, 'UTC')} and trade_time < {until:DateTime64(6, 'UTC')}
    union all
    select 'klines', venue, symbol, open_time, concat(interval, ' ', toString(open_time))
    from klines
    where open_time >= {since:DateTime64(6, 'UTC')} and open_time < {until:DateTime64(6, 'UTC')}
    union all
    select 'depth_diffs', venue, symbol, event_time, toString(last_update_id)
    from depth_diffs
    where event_time >= {since:DateTime64(6, 'UTC')} and event_time < {until:DateTime64(6, 'UTC')}
    union all
    select 'stored_ohlcv', venue, symbol, open_time, concat(interval, ' ', toString(open_time))
    from stored_ohlcv final
    where open_time >= {since:DateTime64(6, 'UTC')} and open_time < {until:DateTime64(6, 'UTC')}
)
group by view, venue, symbol, key
having count() > 1
