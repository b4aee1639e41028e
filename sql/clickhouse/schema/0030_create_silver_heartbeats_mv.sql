-- Grain: one heartbeat per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by
-- natural key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_heartbeats_mv to silver_heartbeats
as
select
    venue,
    process,
    instance,
    started_at,
    beat_time,
    connections,
    frames,
    rows,
    spool_bytes,
    detail,
    object_key,
    object_etag,
    load_time
from bronze_heartbeats as landed
comment 'Deduplication of heartbeats of processes'
