-- The klines of one market and interval beside a stretch of time: when the last before it opened, and the first after it, in
-- microseconds; 0 without any. Each part reads in the order of the key and stops at its first row. Rerun is safe: it only reads.
select
    maxIf(opened, opened < {since_us:Int64}),
    ifNull(minOrNullIf(opened, opened >= {until_us:Int64}), 0)
from (
    (
        select toUnixTimestamp64Micro(open_time) as opened
        from stored_ohlcv
        where interval = {interval:String} and venue = {venue:String} and symbol = {symbol:String}
            and open_time < fromUnixTimestamp64Micro({since_us:Int64})
        order by open_time desc
        limit 1
    )
    union all
    (
        select toUnixTimestamp64Micro(open_time) as opened
        from stored_ohlcv
        where interval = {interval:String} and venue = {venue:String} and symbol = {symbol:String}
            and open_time >= fromUnixTimestamp64Micro({until_us:Int64})
        order by open_time
        limit 1
    )
    union all
    (
        select toUnixTimestamp64Micro(open_time) as opened
        from silver_klines
        where interval = {interval:String} and venue = {venue:String} and symbol = {symbol:String}
            and open_time < fromUnixTimestamp64Micro({since_us:Int64})
        order by open_time desc
        limit 1
    )
    union all
    (
        select toUnixTimestamp64Micro(open_time) as opened
        from silver_klines
        where interval = {interval:String} and venue = {venue:String} and symbol = {symbol:String}
            and open_time >= fromUnixTimestamp64Micro({until_us:Int64})
        order by open_time
        limit 1
    )
)
