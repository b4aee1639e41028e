-- Every market there is anything of to draw: venue, symbol, and what it can be compared with: its name across venues, kind and delivery
-- in microseconds (0: none), as in gold_symbol_map. The name is empty until gold knows the symbol. Rerun is safe: it only reads.
select
    venue,
    symbol,
    market,
    kind,
    toInt64(toUnixTimestamp(ifNull(delivery_time, toDateTime(0, 'UTC')))) * 1000000
from (
    select venue, symbol from stored_ohlcv where interval in ('1m', '1h', '1d') group by venue, symbol
    union distinct
    select venue, symbol from silver_klines group by venue, symbol
    union distinct
    select venue, symbol from silver_trades where load_time >= fromUnixTimestamp64Micro({since_us:Int64}) group by venue, symbol
) as drawn
left join (select venue, symbol, market, kind, delivery_time from gold_symbol_map) as names using (venue, symbol)
order by venue, symbol
limit 2000
