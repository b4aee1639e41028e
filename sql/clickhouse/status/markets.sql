-- Every market there is anything of to draw: venue and symbol. Rerun is safe: it only reads.
select venue, symbol
from (
    select venue, symbol from stored_ohlcv where interval in ('1m', '1h', '1d') group by venue, symbol
    union distinct
    select venue, symbol from silver_klines group by venue, symbol
    union distinct
    select venue, symbol from silver_trades where load_time >= fromUnixTimestamp64Micro({since_us:Int64}) group by venue, symbol
)
order by venue, symbol
limit 2000
