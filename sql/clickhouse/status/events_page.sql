-- Events of captures and backfills before an instant, newest first, of one market and of some kinds where they are named.
-- Times in microseconds. Rerun is safe: it only reads.
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
where started_at < fromUnixTimestamp64Micro({until_us:Int64})
    and ({venue:String} = '' or venue = {venue:String})
    and ({symbol:String} = '' or symbol = {symbol:String})
    and (empty({kinds:Array(String)}) or event in {kinds:Array(String)})
order by started_at desc, venue, symbol, channel, instance, event, from_update_id
limit {most:UInt32} offset {offset:UInt32}
