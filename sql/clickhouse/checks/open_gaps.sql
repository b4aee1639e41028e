-- Offends: gaps that were recorded and neither healed nor explained by the venue having nothing, in parts or as a whole.
-- value: seconds the gap lasted, 0 where it has no end. Parameter: min_seconds.
-- Ranges are half-open here: ids end behind their last one; klines of the backfiller, whose ids are open times, at ended_at.
with closed as (
    select
        venue,
        symbol,
        channel,
        if(startsWith(instance, 'backfill-'), instance, '') as series,
        arraySort(groupArray((
            ifNull(from_update_id, 0),
            if(series != '', toUInt64(ifNull(toUnixTimestamp64Micro(ended_at), 0)), ifNull(to_update_id, 0) + 1)
        ))) as ranges
    from stream_events
    where event = 'healed' or (event = 'gap' and cause = 'venue_has_no_data')
    group by venue, symbol, channel, series
)
select
    gap.venue as venue,
    gap.symbol as symbol,
    gap.started_at as at,
    greatest(0, ifNull(dateDiff('microsecond', gap.started_at, gap.ended_at), 0)) / 1e6 as value,
    format(
        '{} {} to {}: {}',
        gap.channel, toString(ifNull(gap.from_update_id, 0)), toString(ifNull(gap.to_update_id, 0)), gap.cause
    ) as detail
from stream_events as gap
left join closed
    on gap.venue = closed.venue and gap.symbol = closed.symbol and gap.channel = closed.channel
    and if(startsWith(gap.instance, 'backfill-'), gap.instance, '') = closed.series
where gap.event = 'gap' and gap.cause != 'venue_has_no_data'
    and gap.started_at >= {since:DateTime64(6, 'UTC')} and gap.started_at < {until:DateTime64(6, 'UTC')}
    and arrayFold(
        (reached, range) -> if(range.1 <= reached, greatest(reached, range.2), reached),
        closed.ranges,
        ifNull(gap.from_update_id, 0)
    ) <= ifNull(gap.to_update_id, 0)
    and value >= {min_seconds:Float64}
