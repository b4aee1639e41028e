-- Blocks of 1,440 intervals that gold/indicators.sql builds anew, and from which row on: those of rows this build made and of
-- minutes in which silver lost rows, and the block after where it begins within 1,000 intervals of them.
-- Instants: seconds since the epoch for a block, microseconds for a row.
select
    interval,
    venue,
    symbol,
    toUnixTimestamp(touch.1) as block,
    min(toUnixTimestamp64Micro(touch.2)) as changed_from
from (
    select
        interval,
        venue,
        symbol,
        seconds,
        arrayJoin(if(
            max(open_time) + toIntervalSecond(1000 * seconds) < own_block + toIntervalSecond(1440 * seconds),
            [(own_block, min(open_time))],
            [
                (own_block, min(open_time)),
                (own_block + toIntervalSecond(1440 * seconds), toDateTime64(own_block + toIntervalSecond(1440 * seconds), 6, 'UTC'))
            ]
        )) as touch
    from (
        select
            toString(interval) as interval,
            venue,
            symbol,
            open_time,
            {lengths:Array(UInt32)}[indexOf({intervals:Array(String)}, interval)] as seconds,
            toDateTime(intDiv(toUnixTimestamp(open_time), 1440 * seconds) * 1440 * seconds, 'UTC') as own_block
        from stored_ohlcv
        where build_version = {build_version:UInt64} and interval in {intervals:Array(String)}
-- [lost
        union all
        select
            {intervals:Array(String)}[place],
            venue,
            symbol,
            toDateTime64(intDiv(toUnixTimestamp(minute), seconds) * seconds, 6, 'UTC') as open_time,
            {lengths:Array(UInt32)}[arrayJoin(arrayEnumerate({intervals:Array(String)})) as place] as seconds,
            toDateTime(intDiv(toUnixTimestamp(minute), 1440 * seconds) * 1440 * seconds, 'UTC') as own_block
        from ops_lost_minutes
        where dataset in ('trades', 'klines')
            and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
-- lost]
    )
    group by interval, venue, symbol, seconds, own_block
)
group by interval, venue, symbol, block
order by interval, venue, symbol, block
