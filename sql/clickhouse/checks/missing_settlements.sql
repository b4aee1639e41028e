-- Offends: settled funding rates before which one is missing: the time since the one before is longer than 8 hours, or than both
-- periods beside it, and no event `gap` speaks of it. The newest rate of a contract is not judged: its period may have grown.
-- value: hours since the one before. No parameters.
with found as (
    select
        venue,
        symbol,
        funding_time as at,
        funding_hours,
        lagInFrame(toNullable(funding_time)) over settlements as before,
        leadInFrame(toNullable(funding_time)) over settlements as after
    from gold_funding
    window settlements as (partition by venue, symbol order by funding_time rows between unbounded preceding and unbounded following)
),
recorded_gaps as (
    select
        venue,
        symbol,
        groupArray((toInt64(assumeNotNull(from_update_id)), toInt64(assumeNotNull(to_update_id)))) as ranges
    from stream_events
    where event = 'gap' and channel = 'funding_rates' and from_update_id is not null and to_update_id is not null
    group by venue, symbol
)
select
    venue,
    symbol,
    at,
    toFloat64(intDiv(dateDiff('second', assumeNotNull(before), at) + 1800, 3600)) as value,
    format('no funding rate for {} hours, from {} to {}', toString(value), toString(assumeNotNull(before)), toString(at)) as detail
from found
left join recorded_gaps using (venue, symbol)
where at >= {since:DateTime64(6, 'UTC')} and at < {until:DateTime64(6, 'UTC')}
    and funding_hours is null and before is not null and after is not null
    and not arrayExists(
        gap -> gap.1 > toUnixTimestamp64Micro(assumeNotNull(before)) and gap.2 < toUnixTimestamp64Micro(at),
        recorded_gaps.ranges
    )
