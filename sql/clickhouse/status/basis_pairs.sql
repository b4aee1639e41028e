-- The contracts that a market is, or is compared with, each with a spot market of it, or with none: perpetuals first. Delivery in
-- microseconds, 0 without any. Rerun is safe: it only reads.
select
    venue,
    symbol,
    spot_venue,
    spot_symbol,
    toInt64(toUnixTimestamp(ifNull(delivery_time, toDateTime(0, 'UTC')))) * 1000000
from (select venue, symbol, market, kind, delivery_time from gold_symbol_map where kind != 'spot') as dated
left join (
    select venue as spot_venue, symbol as spot_symbol, market from gold_symbol_map where kind = 'spot'
) as spots using (market)
where (venue = {venue:String} and symbol = {symbol:String}) or (spot_venue = {venue:String} and spot_symbol = {symbol:String})
order by kind desc, delivery_time, venue, symbol, spot_venue, spot_symbol
limit 4
