-- Klines of one market and interval in a stretch of time, and those of a minute since an instant: gold where the transformer was,
-- else what was backfilled. A volume that storage has no room for is not drawn. Rerun is safe: it only reads.
-- One row a kline and interval, oldest first; times in microseconds.
select
    toUnixTimestamp64Micro(open_time) as opened,
    argMax(open, rank),
    argMax(high, rank),
    argMax(low, rank),
    argMax(close, rank),
    argMax(volume, rank),
    argMax(is_complete, rank),
    argMax(source, rank),
    interval
from (
    select interval, open_time, open, high, low, close, ifNull(volume, 0) as volume, is_complete, source, 2 as rank
    from stored_ohlcv final
    where venue = {venue:String} and symbol = {symbol:String} and (
        interval = {interval:String}
            and open_time >= fromUnixTimestamp64Micro({since_us:Int64}) and open_time < fromUnixTimestamp64Micro({until_us:Int64})
        or interval = '1m' and open_time >= fromUnixTimestamp64Micro({minutes_us:Int64})
    )
    union all
    select interval, open_time, open, high, low, close, volume, is_closed, 'klines', 1
    from silver_klines final
    where venue = {venue:String} and symbol = {symbol:String} and (
        interval = {interval:String}
            and open_time >= fromUnixTimestamp64Micro({since_us:Int64}) and open_time < fromUnixTimestamp64Micro({until_us:Int64})
        or interval = '1m' and open_time >= fromUnixTimestamp64Micro({minutes_us:Int64})
    )
)
group by interval, opened
order by opened
limit 5000
