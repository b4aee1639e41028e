-- The gaps of one market in a stretch of time, newest first, at most 2,000. Times in microseconds; the ids of klines are
-- times already. Rerun is safe: it only reads. A gap is closed where healings cover its ids, as in the check open_gaps: healings
-- that touch or overlap are one stretch, and one stretch has all of the gap's ids. The book of a gap in its updates is in sync
-- again from the first `synced` on; 0 where there is none yet.
with
    healings as (
        select
            channel,
            if(startsWith(instance, 'backfill-'), instance, '') as series,
            ifNull(from_update_id, 0) as first_id,
            if(series != '', toUInt64(ifNull(toUnixTimestamp64Micro(ended_at), 0)), ifNull(to_update_id, 0) + 1) as next_id
        from silver_stream_events final
        where event = 'healed' and venue = {venue:String} and symbol = {symbol:String}
            and (channel = 'klines' or started_at >= fromUnixTimestamp64Micro({since_us:Int64}))
    ),
    begun as (
        select
            *,
            first_id > max(next_id) over (
                partition by channel, series order by first_id, next_id rows between unbounded preceding and 1 preceding
            ) as begins
        from healings
    ),
    numbered as (
        select
            *,
            sum(begins) over (
                partition by channel, series order by first_id, next_id rows between unbounded preceding and current row
            ) as number
        from begun
    ),
    stretches as (
        select channel, series, number, min(first_id) as healed_from, max(next_id) as healed_until
        from numbered
        group by channel, series, number
    )
select
    gap.channel,
    gap.cause,
    gap.from_us,
    gap.to_us,
    gap.first_id,
    gap.last_id,
    stretches.healed_until > ifNull(gap.last_id, 0) as is_healed,
    gap.resynced_us
from (
    select found.*, synced.at_us as resynced_us
    from (
        select
            channel,
            cause,
            if(channel = 'klines', toInt64(ifNull(from_update_id, 0)), toUnixTimestamp64Micro(started_at)) as from_us,
            if(
                channel = 'klines',
                toInt64(ifNull(to_update_id, 0)),
                greatest(from_us, ifNull(toUnixTimestamp64Micro(ended_at), 0))
            ) as to_us,
            from_update_id as first_id,
            to_update_id as last_id,
            ifNull(from_update_id, 0) as known_id,
            if(startsWith(instance, 'backfill-'), instance, '') as series
        from silver_stream_events final
        where event = 'gap' and venue = {venue:String} and symbol = {symbol:String}
            and channel in ('trades', 'depth', 'klines')
            and (
                channel != 'klines'
                or endsWith(instance, '-' || {interval:String})
                or startsWith(detail, {interval:String} || ' ')
            )
            and from_us < {until_us:Int64} and to_us >= {since_us:Int64}
        order by from_us desc
        limit 2000
    ) as found
    asof left join (
        select channel, toUnixTimestamp64Micro(started_at) as at_us
        from silver_stream_events final
        where event = 'synced' and venue = {venue:String} and symbol = {symbol:String} and channel = 'depth'
            and started_at >= fromUnixTimestamp64Micro({since_us:Int64})
    ) as synced on found.channel = synced.channel and found.from_us <= synced.at_us
) as gap
asof left join stretches
    on gap.channel = stretches.channel and gap.series = stretches.series and gap.known_id >= stretches.healed_from
order by gap.from_us desc
