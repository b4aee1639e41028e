-- The gaps of one market in a stretch of time, newest first, at most 2,000. Times in microseconds; the ids of klines are
-- times already. Rerun is safe: it only reads. A gap is closed where healings cover its ids, as in the check open_gaps.
with healings as (
    select
        channel,
        if(startsWith(instance, 'backfill-'), instance, '') as series,
        arraySort(groupArray((
            ifNull(from_update_id, 0),
            if(series != '', toUInt64(ifNull(toUnixTimestamp64Micro(ended_at), 0)), ifNull(to_update_id, 0) + 1)
        ))) as ranges
    from silver_stream_events final
    where event = 'healed' and venue = {venue:String} and symbol = {symbol:String}
        and (channel = 'klines' or started_at >= fromUnixTimestamp64Micro({since_us:Int64}))
    group by channel, series
)
select
    gap.channel,
    gap.cause,
    gap.from_us,
    gap.to_us,
    gap.first_id,
    gap.last_id,
    arrayFold(
        (reached, range) -> if(range.1 <= reached, greatest(reached, range.2), reached), healings.ranges, ifNull(gap.first_id, 0)
    ) > ifNull(gap.last_id, 0) as is_healed
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
) as gap
left join healings on gap.channel = healings.channel and gap.series = healings.series
order by gap.from_us desc
