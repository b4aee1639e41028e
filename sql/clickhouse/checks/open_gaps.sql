-- Offends: gaps that were recorded and neither healed nor explained by the venue having nothing, in parts or as a whole.
-- value: seconds the gap lasted, 0 where it has no end. Parameter: min_seconds.
-- Ranges are half-open here: ids end behind their last one; klines of the backfiller, whose ids are open times, at ended_at.
-- Ranges that touch or overlap are one stretch, and one stretch has all of a closed gap's ids: both sides are sorted once.
with
    closed as (
        select
            venue,
            symbol,
            channel,
            if(startsWith(instance, 'backfill-'), instance, '') as series,
            ifNull(from_update_id, 0) as first_id,
            if(series != '', toUInt64(ifNull(toUnixTimestamp64Micro(ended_at), 0)), ifNull(to_update_id, 0) + 1) as next_id
        from stream_events
        where (event = 'healed' or (event = 'gap' and cause = 'venue_has_no_data')) and next_id > first_id
    ),
    begun as (
        select
            *,
            first_id > max(next_id) over (
                partition by venue, symbol, channel, series order by first_id, next_id
                rows between unbounded preceding and 1 preceding
            ) as begins
        from closed
    ),
    numbered as (
        select
            *,
            sum(begins) over (
                partition by venue, symbol, channel, series order by first_id, next_id
                rows between unbounded preceding and current row
            ) as number
        from begun
    ),
    stretches as (
        select venue, symbol, channel, series, number, min(first_id) as closed_from, max(next_id) as closed_until
        from numbered
        group by venue, symbol, channel, series, number
    )
select
    gap.venue as venue,
    gap.symbol as symbol,
    gap.started_at as at,
    gap.lasted as value,
    format('{} {} to {}: {}', gap.channel, toString(gap.first_id), toString(gap.last_id), gap.cause) as detail
from (
    select
        venue,
        symbol,
        channel,
        cause,
        started_at,
        greatest(0, ifNull(dateDiff('microsecond', started_at, ended_at), 0)) / 1e6 as lasted,
        ifNull(from_update_id, 0) as first_id,
        ifNull(to_update_id, 0) as last_id,
        if(startsWith(instance, 'backfill-'), instance, '') as series
    from stream_events
    where event = 'gap' and cause != 'venue_has_no_data'
        and started_at >= {since:DateTime64(6, 'UTC')} and started_at < {until:DateTime64(6, 'UTC')}
        and lasted >= {min_seconds:Float64}
) as gap
asof left join stretches
    on gap.venue = stretches.venue and gap.symbol = stretches.symbol and gap.channel = stretches.channel
    and gap.series = stretches.series and gap.first_id >= stretches.closed_from
where greatest(gap.first_id, stretches.closed_until) <= gap.last_id
