-- Grain: one trade. Natural key: venue, symbol, trade_id. A view: nothing is stored, exact at any moment.
create view if not exists trades
as
select
    venue,
    symbol,
    trade_id,
    toDecimal256(price, 18) as price,
    toDecimal256(quantity, 18) as quantity,
    is_buyer_maker,
    trade_time,
    event_time,
    receipt_time
from silver_trades final
settings do_not_merge_across_partitions_select_final = 1
comment 'Trades without doubles: what people query'
