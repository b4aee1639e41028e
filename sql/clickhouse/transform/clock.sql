-- The warehouse's clock, by which load_time is set, in microseconds. An insert that is still running keeps its load_time
-- from before it is visible: the clock stands still at the oldest such insert. Where tables replicate, replica_clock.sql too.
select toUnixTimestamp64Micro(now64(6)) - toInt64(1e6 * (
    select max(elapsed)
    from system.processes
    where query_kind = 'Insert' and query ilike '%bronze_%'
))
