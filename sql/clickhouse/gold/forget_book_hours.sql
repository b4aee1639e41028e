-- Takes out of stored_book_hours what may stand on rows that silver lost; the steps of the same window build what is still true.
-- Grain: that of stored_book_hours. The window is in microseconds. Rerun is safe: the window is done again as a whole. The hours beside it are built from it too.
delete from stored_book_hours
where (venue, symbol, toStartOfHour(open_time)) in (
    select venue, symbol, arrayJoin([toStartOfHour(minute) - toIntervalHour(1), toStartOfHour(minute), toStartOfHour(minute) + toIntervalHour(1)])
    from ops_lost_minutes
    where dataset in ('depth_diffs', 'depth_snapshots')
        and load_time >= fromUnixTimestamp64Micro({start_us:Int64}) and load_time < fromUnixTimestamp64Micro({end_us:Int64})
)
