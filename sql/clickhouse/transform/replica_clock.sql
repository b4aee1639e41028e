-- Up to when this replica has all rows of tables that replicate, in microseconds: it stands still at the oldest rows that the
-- replica has yet to fetch; where it cannot know of them, at its last look into the log.
select 1000000 * min(toInt64(toUnixTimestamp(known_until))) as known_until_us
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
