-- How far the warehouse is: the newest load and the newest message in it, in microseconds, 0 without any since an instant.
-- Rerun is safe: it only reads.
select
    (select toUnixTimestamp64Micro(max(load_time)) from ops_loaded_objects where status = 'loaded'),
    greatest(
        (select toUnixTimestamp64Micro(max(event_time)) from silver_trades where load_time >= fromUnixTimestamp64Micro({since_us:Int64})),
        (select toUnixTimestamp64Micro(max(event_time)) from silver_depth_diffs where load_time >= fromUnixTimestamp64Micro({since_us:Int64}))
    )
