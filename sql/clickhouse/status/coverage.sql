-- What part of every hour each market has: complete minutes in gold, seconds with a proven book, gaps. Times in microseconds.
-- Rerun is safe: it only reads.
select
    venue,
    symbol,
    toUnixTimestamp64Micro(hour) as hour_us,
    toUInt32(max(minutes)),
    toUInt32(max(complete)),
    toUInt32(max(proven)),
    toUInt32(max(gaps)),
    toUInt32(max(healed))
from (
    select
        venue, symbol, toDateTime64(toStartOfHour(open_time), 6, 'UTC') as hour,
        count() as minutes, countIf(is_complete) as complete, 0 as proven, 0 as gaps, 0 as healed
    from stored_ohlcv final
    where interval = '1m' and open_time >= fromUnixTimestamp64Micro({since_us:Int64})
    group by venue, symbol, hour
    union all
    select venue, symbol, open_time, 0, 0, toUInt64(proven_seconds), 0, 0
    from stored_book_hours final
    where open_time >= fromUnixTimestamp64Micro({since_us:Int64})
    union all
    select
        venue, symbol, toDateTime64(toStartOfHour(started_at), 6, 'UTC') as hour,
        0, 0, 0, countIf(event = 'gap'), countIf(event = 'healed')
    from silver_stream_events final
    where event in ('gap', 'healed') and symbol != '' and started_at >= fromUnixTimestamp64Micro({since_us:Int64})
    group by venue, symbol, hour
)
group by venue, symbol, hour
order by venue, symbol, hour
limit 20000
