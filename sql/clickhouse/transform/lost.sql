-- In which minutes silver lost rows in the window, in seconds since the epoch: some of them, from the offset on.
select distinct
    venue,
    symbol,
    toUnixTimestamp(minute) as start
from ops_lost_minutes
where dataset in {datasets:Array(String)}
    and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
order by venue, symbol, start
limit {limit:UInt32} offset {offset:UInt64}
