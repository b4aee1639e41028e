-- Gaps by cause that were loaded since an instant, and how many healed. Rerun is safe: it only reads.
select
    event,
    cause,
    count() as events
from silver_stream_events final
where load_time >= fromUnixTimestamp64Micro({since_us:Int64}) and event in ('gap', 'healed')
group by event, cause
order by event, events desc, cause
