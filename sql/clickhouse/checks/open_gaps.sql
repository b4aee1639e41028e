-- Offends: gaps that were written down and neither healed nor explained by the venue having nothing.
-- value: seconds the gap lasted, 0 where it has no end. Parameter: min_seconds.
with healed as (
    select
        venue,
        symbol,
        channel,
        groupArray((from_update_id, to_update_id)) as ranges
    from stream_events
    where event = 'healed'
    group by venue, symbol, channel
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
left join healed
    on gap.venue = healed.venue and gap.symbol = healed.symbol and gap.channel = healed.channel
where gap.event = 'gap' and gap.cause != 'venue_has_no_data'
    and gap.started_at >= {since:DateTime64(6, 'UTC')} and gap.started_at < {until:DateTime64(6, 'UTC')}
    and not arrayExists(range -> range.1 <= gap.from_update_id and range.2 >= gap.to_update_id, healed.ranges)
    and value >= {min_seconds:Float64}
