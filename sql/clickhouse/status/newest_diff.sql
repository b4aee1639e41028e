-- The newest diff of one market: its event_time in microseconds and its id; nothing without diffs since an instant of loading.
-- Rerun is safe: it only reads.
select
    toUnixTimestamp64Micro(max(event_time)),
    max(last_update_id)
from silver_depth_diffs
where venue = {venue:String} and symbol = {symbol:String} and load_time >= fromUnixTimestamp64Micro({since_us:Int64})
