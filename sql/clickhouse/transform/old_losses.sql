-- Number of lost minutes recorded before this instant, in microseconds since the epoch.
select count() from ops_lost_minutes where load_time < fromUnixTimestamp64Micro({before_us:Int64})
