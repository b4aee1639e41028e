-- Rows by dataset of what is loaded: since an instant, and in all. Rerun is safe: it only reads.
select
    dataset,
    sumIf(rows, load_time >= fromUnixTimestamp64Micro({since_us:Int64})) as new_rows,
    sum(rows) as all_rows
from ops_loaded_objects final
where status = 'loaded' and dataset not in ('stream_events', 'heartbeats')
group by dataset
order by dataset
