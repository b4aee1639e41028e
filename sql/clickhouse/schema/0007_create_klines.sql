-- Grain: one kline. Natural key: venue, symbol, interval, open_time. A view: nothing is stored, exact at any moment.
create view if not exists klines
as
select
    venue,
    symbol,
    interval,
    open_time,
    close_time,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    trade_count,
    taker_buy_volume,
    taker_buy_quote_volume,
    is_closed,
    source,
    receipt_time
from silver_klines final
settings do_not_merge_across_partitions_select_final = 1
comment 'Klines without doubles: what people query'
