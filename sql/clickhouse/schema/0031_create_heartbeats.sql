-- Grain: one pulse of a process. Natural key: venue, process, instance, beat_time. A view: nothing is stored, exact
-- at any moment.
create view if not exists heartbeats
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
    detail
from silver_heartbeats final
settings do_not_merge_across_partitions_select_final = 1
comment 'Heartbeats of processes without doubles: what people query'
