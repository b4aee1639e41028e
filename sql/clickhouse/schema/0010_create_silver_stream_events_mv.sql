-- Grain: one event per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by natural key,
-- and a retried block is recognised by its token here too.
create materialized view if not exists silver_stream_events_mv to silver_stream_events
as
select
    venue,
    symbol,
    channel,
    instance,
    event,
    from_update_id,
    to_update_id,
    started_at,
    ended_at,
    cause,
    detail,
    object_key,
    object_etag,
    load_time
from bronze_stream_events as landed
comment 'Deduplication of stream events'
