-- How far the warehouse is: the newest load, the newest message in it, and the oldest load that some transformer has not taken, in
-- microseconds; 0 without any, of messages without any since an instant. The ledger is written after the rows: loads within five
-- seconds after a watermark may be below it. Rerun is safe: it only reads.
select
    (select toUnixTimestamp64Micro(max(load_time)) from ops_loaded_objects where status = 'loaded'),
    greatest(
        (select toUnixTimestamp64Micro(max(event_time)) from silver_trades where load_time >= fromUnixTimestamp64Micro({since_us:Int64})),
        (select toUnixTimestamp64Micro(max(event_time)) from silver_depth_diffs where load_time >= fromUnixTimestamp64Micro({since_us:Int64}))
    ),
    (
        select toUnixTimestamp64Micro(min(load_time))
        from ops_loaded_objects
        where status = 'loaded' and load_time > (
            select min(watermark) + toIntervalSecond(5)
            from (select max(window_end) as watermark from ops_transform_runs where step = '' group by transform)
        )
    )
