-- Grain: one snapshot per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by natural
-- key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_depth_snapshots_mv to silver_depth_snapshots
as
select
    venue,
    symbol,
    last_update_id,
    bids,
    asks,
    reason,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_depth_snapshots as landed
comment 'Deduplication of order book snapshots'
