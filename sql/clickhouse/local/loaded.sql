-- Rows by dataset of what is loaded now; older versions of an object are superseded and do not count. Rerun is safe: it only reads.
select
    dataset,
    sum(rows) as all_rows
from ops_loaded_objects final
where status = 'loaded' and dataset not in ('stream_events', 'heartbeats')
group by dataset
order by dataset
