-- The last heartbeat of every process, and whether it stopped cleanly afterwards. Times in microseconds. Rerun is safe: it only reads.
select
    venue,
    process,
    instance,
    toUnixTimestamp64Micro(max(beat_time)) as beat,
    toUnixTimestamp64Micro(argMax(started_at, beat_time)),
    argMax(connections, beat_time),
    argMax(rows, beat_time),
    argMax(spool_bytes, beat_time),
    argMax(detail, beat_time),
    toUnixTimestamp64Micro(max(stopped.ended)) >= beat - 60000000
from silver_heartbeats
left join (
    select venue, instance, max(ended_at) as ended
    from silver_stream_events
    where event = 'stopped' and started_at >= fromUnixTimestamp64Micro({since_us:Int64})
    group by venue, instance
) as stopped using (venue, instance)
where beat_time >= fromUnixTimestamp64Micro({since_us:Int64})
group by venue, process, instance
order by beat desc
limit 50
