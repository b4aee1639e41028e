-- Takes out of stored_cross_venue what may stand on rows that silver lost; the steps of the same window build what is still true.
-- Grain: that of stored_cross_venue. The window is in microseconds. Rerun is safe: the window is done again as a whole. A book may stand on a lost row up to the end of the hour after it.
delete from stored_cross_venue
where basis = {basis:String} and ((venue_a, symbol_a, open_time) in (
    select venue, symbol, toDateTime64(minute, 6, 'UTC') from ops_lost_minutes
    where {basis:String} = 'trades' and dataset in ('trades', 'klines')
        and load_time >= fromUnixTimestamp64Micro({start_us:Int64}) and load_time < fromUnixTimestamp64Micro({end_us:Int64})
    union all
    select venue, symbol, toDateTime64(arrayJoin(arrayMap(n -> minute + toIntervalMinute(n) - toIntervalMinute(1), range(toUInt32(dateDiff('minute', minute, toStartOfHour(minute) + toIntervalHour(2)) + 1)))), 6, 'UTC') from ops_lost_minutes
    where {basis:String} = 'book' and dataset in ('depth_diffs', 'depth_snapshots')
        and load_time >= fromUnixTimestamp64Micro({start_us:Int64}) and load_time < fromUnixTimestamp64Micro({end_us:Int64})
) or (venue_b, symbol_b, open_time) in (
    select venue, symbol, toDateTime64(minute, 6, 'UTC') from ops_lost_minutes
    where {basis:String} = 'trades' and dataset in ('trades', 'klines')
        and load_time >= fromUnixTimestamp64Micro({start_us:Int64}) and load_time < fromUnixTimestamp64Micro({end_us:Int64})
    union all
    select venue, symbol, toDateTime64(arrayJoin(arrayMap(n -> minute + toIntervalMinute(n) - toIntervalMinute(1), range(toUInt32(dateDiff('minute', minute, toStartOfHour(minute) + toIntervalHour(2)) + 1)))), 6, 'UTC') from ops_lost_minutes
    where {basis:String} = 'book' and dataset in ('depth_diffs', 'depth_snapshots')
        and load_time >= fromUnixTimestamp64Micro({start_us:Int64}) and load_time < fromUnixTimestamp64Micro({end_us:Int64})
))
