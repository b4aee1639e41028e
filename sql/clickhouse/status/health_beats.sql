-- What captures reported of themselves, by slots of time, oldest first. One row a slot: messages and rows a second, bytes uploaded
-- a second, bytes in all spools, share of the request weight of the venue that has used most of it, memory of the largest process,
-- bytes free on the fullest disk. Null: no capture reported it. Rerun is safe: it only reads. Times in microseconds.
-- A counter's rate is its growth since the heartbeat before, by the time since then; a run begins at 0.
with
    {seconds:UInt32} as seconds,
    by_run as (
        select
            venue,
            process,
            instance,
            started_at,
            intDiv(toUnixTimestamp(beat_time), seconds) as slot,
            max(beat_time) as beat,
            max(frames) as all_frames,
            max(rows) as all_rows,
            max(toUInt64OrNull(extract(detail, 'uploaded_bytes ([0-9]+)'))) as all_uploaded,
            max(spool_bytes) as spool,
            max(toUInt64OrNull(extract(detail, 'weight ([0-9]+)')) / toUInt64OrNull(extract(detail, 'weight_limit ([0-9]+)'))) as share,
            max(toUInt64OrNull(extract(detail, 'memory_bytes ([0-9]+)'))) as memory,
            min(toUInt64OrNull(extract(detail, 'free_bytes ([0-9]+)'))) as free
        from silver_heartbeats
        where beat_time >= fromUnixTimestamp64Micro({since_us:Int64}) - toIntervalSecond(seconds)
            and beat_time < fromUnixTimestamp64Micro({until_us:Int64})
        group by venue, process, instance, started_at, slot
    ),
    grown as (
        select
            *,
            lagInFrame(beat, 1, started_at) over runs as beat_before,
            all_frames - lagInFrame(all_frames, 1, toUInt64(0)) over runs as new_frames,
            all_rows - lagInFrame(all_rows, 1, toUInt64(0)) over runs as new_rows,
            all_uploaded - lagInFrame(all_uploaded, 1, toNullable(toUInt64(0))) over runs as new_uploaded
        from by_run
        window runs as (
            partition by venue, process, instance, started_at order by slot rows between unbounded preceding and unbounded following
        )
    ),
    by_instance as (
        select
            slot,
            sum(dateDiff('microsecond', beat_before, beat)) / 1e6 as lasted,
            sum(new_frames) / lasted as frame_rate,
            sum(new_rows) / lasted as row_rate,
            sum(new_uploaded) / lasted as upload_rate,
            max(spool) as spool,
            max(share) as share,
            max(memory) as memory,
            min(free) as free
        from grown
        group by slot, venue, process, instance
    )
select
    toInt64(slot) * seconds * 1000000 as opened,
    sum(if(lasted > 0, frame_rate, null)),
    sum(if(lasted > 0, row_rate, null)),
    sum(if(lasted > 0, upload_rate, null)),
    toInt64(sum(spool)),
    if(isFinite(max(share)), max(share), null),
    toInt64OrNull(toString(max(memory))),
    toInt64OrNull(toString(min(free)))
from by_instance
where slot * seconds * 1000000 >= {since_us:Int64}
group by slot
order by slot
limit 2000
