-- Grain: one diff message per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by
-- natural key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_depth_diffs_mv to silver_depth_diffs
as
select
    venue,
    symbol,
    first_update_id,
    last_update_id,
    bids,
    asks,
    event_time,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_depth_diffs as landed
comment 'Deduplication of order book diffs'
