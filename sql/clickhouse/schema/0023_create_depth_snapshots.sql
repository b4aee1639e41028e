-- Grain: one snapshot of a book with its levels. Natural key: venue, symbol, last_update_id. A view: nothing is
-- stored, exact at any moment.
create view if not exists depth_snapshots
as
select
    venue,
    symbol,
    last_update_id,
    bids,
    asks,
    reason,
    receipt_time
from silver_depth_snapshots final
comment 'Order book snapshots without doubles: what people query'
