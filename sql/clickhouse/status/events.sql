-- The latest events of captures and backfills. Times in microseconds. Rerun is safe: it only reads.
select
    toUnixTimestamp64Micro(started_at) as at,
    venue,
    symbol,
    channel,
    instance,
    event,
    cause,
    substring(detail, 1, 300),
    from_update_id,
    to_update_id,
    toUnixTimestamp64Micro(ended_at)
from silver_stream_events final
where started_at >= fromUnixTimestamp64Micro({since_us:Int64})
order by started_at desc, event
limit 50
