-- Grain: one snapshot of a book with its levels. Natural key: venue, symbol, last_update_id. A view: nothing is
-- stored, exact at any moment.
create view if not exists depth_snapshots
as
select
    venue,
    symbol,
    last_update_id,
    cast(bids, 'Array(Tuple(price Decimal(76, 18), quantity Decimal(76, 18)))') as bids,
    cast(asks, 'Array(Tuple(price Decimal(76, 18), quantity Decimal(76, 18)))') as asks,
    reason,
    receipt_time
from silver_depth_snapshots final
comment 'Order book snapshots without doubles: what people query'
