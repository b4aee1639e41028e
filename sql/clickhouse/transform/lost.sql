-- In how many minutes silver lost rows that were loaded before: of the whole window.
select count()
from ops_lost_minutes
where load_time >= fromUnixTimestamp64Micro({start_us:Int64}) and load_time < fromUnixTimestamp64Micro({end_us:Int64})
