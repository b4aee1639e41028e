-- Grain: one changed level of one diff message. A view: nothing is stored, exact at any moment.
create view if not exists depth_levels
as
select
    venue,
    symbol,
    first_update_id,
    last_update_id,
    level.1 as side,
    toDecimal256(level.2, 18) as price,
    toDecimal256(level.3, 18) as quantity,
    event_time,
    receipt_time
from silver_depth_diffs final
array join arrayConcat(
    arrayMap(bid -> ('bid', bid.price, bid.quantity), bids),
    arrayMap(ask -> ('ask', ask.price, ask.quantity), asks)
) as level
comment 'Order book diffs, one row per changed level: what people query'
