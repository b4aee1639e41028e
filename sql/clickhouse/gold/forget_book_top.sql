-- Takes out of stored_book_top what may stand on rows that silver lost; the steps of the same window build what is still true.
-- Grain: that of stored_book_top. The window is in microseconds. Rerun is safe: the window is done again as a whole. A book may stand on a lost row up to the end of the hour after it.
delete from stored_book_top
where (venue, symbol, toStartOfMinute(open_time)) in (
    select venue, symbol, arrayJoin(arrayMap(n -> minute + toIntervalMinute(n) - toIntervalMinute(1), range(toUInt32(dateDiff('minute', minute, toStartOfHour(minute) + toIntervalHour(2)) + 1))))
    from ops_lost_minutes
    where dataset in ('depth_diffs', 'depth_snapshots')
        and load_time >= fromUnixTimestamp64Micro({start_us:Int64}) and load_time < fromUnixTimestamp64Micro({end_us:Int64})
)
