-- Takes out of stored_indicators what may stand on rows that silver lost; the steps of the same window build what is still true.
-- Grain: that of stored_indicators. The window is in microseconds. Rerun is safe: the window is done again as a whole. Seconds go with their minute.
delete from stored_indicators
where interval = {interval:String} and (venue, symbol, toStartOfInterval(open_time, toIntervalSecond(greatest({seconds:UInt32}, 60)))) in (
    select venue, symbol, toStartOfInterval(minute, toIntervalSecond(greatest({seconds:UInt32}, 60)))
    from ops_lost_minutes
    where dataset in ('trades', 'klines')
        and load_time >= fromUnixTimestamp64Micro({start_us:Int64}) and load_time < fromUnixTimestamp64Micro({end_us:Int64})
)
