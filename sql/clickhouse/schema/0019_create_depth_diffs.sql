-- Grain: one diff message with the levels it changed. Natural key: venue, symbol, last_update_id. A view: nothing is
-- stored, exact at any moment.
create view if not exists depth_diffs
as
select
    venue,
    symbol,
    first_update_id,
    last_update_id,
    cast(bids, 'Array(Tuple(price Decimal(76, 18), quantity Decimal(76, 18)))') as bids,
    cast(asks, 'Array(Tuple(price Decimal(76, 18), quantity Decimal(76, 18)))') as asks,
    event_time,
    receipt_time
from silver_depth_diffs final
comment 'Order book diffs without doubles: what people query'
