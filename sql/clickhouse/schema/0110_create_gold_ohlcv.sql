-- Grain: one OHLCV row of one interval. Natural key: interval, venue, symbol, open_time. A view: exact at any moment.
-- A volume is null where the sum has more digits than storage has; vwap is made of exact sums and
-- cut to 18 decimals: cut sums would be wrong by 1e-18 / volume, which is much for a small one.
create view if not exists gold_ohlcv
as
select
    interval,
    venue,
    symbol,
    open_time,
    toDecimal256(open, 18) as open,
    toDecimal256(high, 18) as high,
    toDecimal256(low, 18) as low,
    toDecimal256(close, 18) as close,
    toDecimal256(volume, 18) as volume,
    toDecimal256(quote_volume, 18) as quote_volume,
    trade_count,
    toDecimal256(taker_buy_volume, 18) as taker_buy_volume,
    toDecimal256(taker_buy_quote_volume, 18) as taker_buy_quote_volume,
    if(ifNull(volume, 0) = 0, null, divideDecimal(exact_quote_volume, if(ifNull(volume, 0) = 0, toDecimal128(1, 18), assumeNotNull(volume)), 18)) as vwap,
    source,
    is_complete
from stored_ohlcv final
settings do_not_merge_across_partitions_select_final = 1
comment 'OHLCV of every interval with where it comes from and whether it is complete; times without a trade have no row unless a kline says so'
