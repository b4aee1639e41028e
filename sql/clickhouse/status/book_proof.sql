-- When the book of one market was last verified against a snapshot, and when it last broke, in microseconds; 0 for never since
-- the given instant, or not since it broke. Rerun is safe: it only reads.
with
    maxIf(toUnixTimestamp64Micro(started_at), event = 'proven') as proven,
    maxIf(toUnixTimestamp64Micro(started_at), event in ('gap', 'mismatch')) as broken
select
    if(proven > broken, proven, 0),
    broken
from silver_stream_events
where venue = {venue:String} and symbol = {symbol:String} and channel = 'depth' and event in ('proven', 'gap', 'mismatch')
    and started_at >= fromUnixTimestamp64Micro({since_us:Int64})
