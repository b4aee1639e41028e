-- The warehouse's clock, by which load_time is set, in microseconds. An insert that is still running keeps its load_time
-- from before it is visible: the clock stands still at the oldest such insert. On tables that replicate it also stands still
-- at the oldest rows that this replica has yet to fetch; where it cannot know of them, at its last look into the log.
select least(
    toUnixTimestamp64Micro(now64(6)) - toInt64(1e6 * (
        select max(elapsed)
        from system.processes
        where query_kind = 'Insert' and query ilike '%bronze_%'
    )),
    1000000 * (
        select min(toInt64(toUnixTimestamp(known_until)))
        from (
            select now() + 1 as known_until
            union all
            select create_time
            from system.replication_queue
            where database = currentDatabase() and (startsWith(table, 'silver_') or table = 'ops_lost_minutes')
                and type = 'GET_PART' and source_replica != replica_name
            union all
            select last_queue_update
            from system.replicas
            where database = currentDatabase() and (startsWith(table, 'silver_') or table = 'ops_lost_minutes')
                and (is_readonly or (log_pointer <= log_max_index and log_max_index > 0))
        )
    )
)
