-- When the newest kline of one market and interval before an instant opened, in microseconds; 0 without any. Rerun is safe: it only reads.
select max(opened)
from (
    select toUnixTimestamp64Micro(max(open_time)) as opened
    from stored_ohlcv
    where interval = {interval:String} and venue = {venue:String} and symbol = {symbol:String}
        and open_time < fromUnixTimestamp64Micro({until_us:Int64})
    union all
    select toUnixTimestamp64Micro(max(open_time))
    from silver_klines
    where venue = {venue:String} and symbol = {symbol:String} and interval = {interval:String}
        and open_time < fromUnixTimestamp64Micro({until_us:Int64})
)
