-- Grain: one ticker update. Natural key: venue, symbol, event_time. A view: nothing is stored, exact at any moment.
create view if not exists tickers
as
select
    venue,
    symbol,
    event_time,
    receipt_time,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    best_bid_price,
    best_bid_quantity,
    best_ask_price,
    best_ask_quantity
from silver_tickers final
settings do_not_merge_across_partitions_select_final = 1
comment 'Rolling 24 hour tickers without doubles: what people query'
