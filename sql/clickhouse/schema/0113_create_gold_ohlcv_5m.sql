-- Grain: one symbol and 5m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_ohlcv_5m
as
select
    venue,
    symbol,
    open_time,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    trade_count,
    taker_buy_volume,
    taker_buy_quote_volume,
    if(volume = 0, null, toDecimal128(toDecimal256(quote_volume, 18) / if(volume = 0, 1, volume), 18)) as vwap,
    source,
    is_complete
from gold_ohlcv final
where interval = '5m'
settings do_not_merge_across_partitions_select_final = 1
comment 'OHLCV of 5m with where it comes from and whether it is complete; times without a trade have no row unless a kline says so'
