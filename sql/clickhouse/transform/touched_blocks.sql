-- Rows this build made, and minutes in which silver lost rows, by block of 1,440 intervals: the first and the last of each block.
-- Which blocks gold/indicators.sql builds anew follows from that: see blocks.py.
-- Instants: seconds since the epoch for a block, microseconds for a row.
select
    toString(interval) as of_interval,
    venue,
    symbol,
    intDiv(toUnixTimestamp(open_time), 1440 * seconds) * 1440 * seconds as block,
    min(toUnixTimestamp64Micro(open_time)) as first_touched,
    max(toUnixTimestamp64Micro(open_time)) as last_touched
from (
    select
        interval,
        venue,
        symbol,
        open_time,
        transform(interval, {intervals:Array(String)}, {lengths:Array(UInt32)}, toUInt32(0)) as seconds
    from stored_ohlcv
    where build_version = {build_version:UInt64} and interval in {intervals:Array(String)}
-- [lost
    union all
    select
        {intervals:Array(String)}[place],
        venue,
        symbol,
        toDateTime64(intDiv(toUnixTimestamp(minute), seconds) * seconds, 6, 'UTC') as open_time,
        {lengths:Array(UInt32)}[arrayJoin(arrayEnumerate({intervals:Array(String)})) as place] as seconds
    from ops_lost_minutes
    where dataset in ('trades', 'klines')
        and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
-- lost]
)
group by of_interval, venue, symbol, block
order by of_interval, venue, symbol, block
