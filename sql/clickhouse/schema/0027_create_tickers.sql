-- Grain: one ticker update. Natural key: venue, symbol, event_time. A view: nothing is stored, exact at any moment.
create view if not exists tickers
as
select
    venue,
    symbol,
    event_time,
    receipt_time,
    toDecimal256(open, 18) as open,
    toDecimal256(high, 18) as high,
    toDecimal256(low, 18) as low,
    toDecimal256(close, 18) as close,
    toDecimal256(volume, 18) as volume,
    toDecimal256(quote_volume, 18) as quote_volume,
    toDecimal256(best_bid_price, 18) as best_bid_price,
    toDecimal256(best_bid_quantity, 18) as best_bid_quantity,
    toDecimal256(best_ask_price, 18) as best_ask_price,
    toDecimal256(best_ask_quantity, 18) as best_ask_quantity
from silver_tickers final
settings do_not_merge_across_partitions_select_final = 1
comment 'Rolling 24 hour tickers without doubles: what people query'
