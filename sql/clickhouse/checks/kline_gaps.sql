-- Offends: one-minute klines that are missing between two recorded ones and that no event `gap` speaks of.
-- value: how many. No parameters.
with found as (
    select
        venue,
        symbol,
        open_time as at,
        toUnixTimestamp64Micro(lagInFrame(open_time, 1, open_time - toIntervalMinute(1)) over times) + 60000000 as missing_from,
        toUnixTimestamp64Micro(open_time) - 60000000 as missing_to
    from klines
    where interval = '1m' and open_time >= {since:DateTime64(6, 'UTC')} and open_time < {until:DateTime64(6, 'UTC')}
    window times as (partition by venue, symbol order by open_time rows between unbounded preceding and current row)
),
recorded_gaps as (
    select
        venue,
        symbol,
        groupArray((toInt64(assumeNotNull(from_update_id)), toInt64(assumeNotNull(to_update_id)))) as ranges
    from stream_events
    where event = 'gap' and channel = 'klines' and from_update_id is not null and to_update_id is not null
    group by venue, symbol
)
select
    venue,
    symbol,
    at,
    toFloat64(length(arrayFilter(
        missing -> not arrayExists(range -> missing >= range.1 and missing <= range.2, recorded_gaps.ranges),
        range(missing_from, missing_to + 60000000, 60000000)
    ))) as value,
    format(
        'open times {} to {} are missing, {} of them are in no gap event',
        toString(fromUnixTimestamp64Micro(missing_from, 'UTC')), toString(fromUnixTimestamp64Micro(missing_to, 'UTC')), toString(value)
    ) as detail
from found
left join recorded_gaps using (venue, symbol)
where missing_to >= missing_from and value > 0
