-- Grain: one kline. Natural key: venue, symbol, interval, open_time. A view: nothing is stored, exact at any moment.
create view if not exists klines
as
select
    venue,
    symbol,
    interval,
    open_time,
    close_time,
    toDecimal256(open, 18) as open,
    toDecimal256(high, 18) as high,
    toDecimal256(low, 18) as low,
    toDecimal256(close, 18) as close,
    toDecimal256(volume, 18) as volume,
    toDecimal256(quote_volume, 18) as quote_volume,
    trade_count,
    toDecimal256(taker_buy_volume, 18) as taker_buy_volume,
    toDecimal256(taker_buy_quote_volume, 18) as taker_buy_quote_volume,
    is_closed,
    source,
    receipt_time
from silver_klines final
settings do_not_merge_across_partitions_select_final = 1
comment 'Klines without doubles: what people query'
