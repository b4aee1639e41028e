-- Offends: update ids of order book diffs that are missing between two recorded ones and that no event `gap` speaks of.
-- value: how many ids. No parameters.
with found as (
    select
        venue,
        symbol,
        event_time as at,
        lagInFrame(last_id, 1, toUInt64(first_id - 1)) over ids + 1 as missing_from,
        first_id - 1 as missing_to
    from (
        select
            venue,
            symbol,
            event_time,
            first_update_id as first_id,
            last_update_id as last_id
        from depth_diffs
        where event_time >= {since:DateTime64(6, 'UTC')} and event_time < {until:DateTime64(6, 'UTC')}
    )
    window ids as (partition by venue, symbol order by last_id rows between unbounded preceding and current row)
),
recorded_gaps as (
    select
        venue,
        symbol,
        arraySort(groupArray((toInt64(assumeNotNull(from_update_id)), toInt64(assumeNotNull(to_update_id))))) as ranges
    from stream_events
    where event = 'gap' and channel = 'depth' and from_update_id is not null and to_update_id is not null
    group by venue, symbol
)
select
    venue,
    symbol,
    at,
    toFloat64(toInt64(missing_to - missing_from + 1) - covered) as value,
    format('ids {} to {} are missing, {} of them are in no gap event', toString(missing_from), toString(missing_to), toString(value)) as detail,
    arrayFold(
        (covered, range) -> (
            covered.1 + greatest(0, least(range.2, toInt64(missing_to)) - greatest(range.1, covered.2) + 1), greatest(covered.2, range.2 + 1)
        ),
        recorded_gaps.ranges,
        (toInt64(0), toInt64(missing_from))
    ).1 as covered
from found
left join recorded_gaps using (venue, symbol)
where missing_to >= missing_from and value > 0
