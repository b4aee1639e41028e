-- Grain: one event. A view: nothing is stored, exact at any moment.
create view if not exists stream_events
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
    detail
from silver_stream_events final
settings do_not_merge_across_partitions_select_final = 1
comment 'Gaps and everything else that happened to streams: what people query'
