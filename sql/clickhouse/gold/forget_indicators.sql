-- Takes out of stored_indicators what may stand on rows that silver lost; the steps of the same window build what is still true.
-- Grain: that of stored_indicators. Rerun is safe: the window is done again as a whole. The starts are in seconds since the epoch.
delete from stored_indicators
where open_time >= fromUnixTimestamp(%(first)s) and open_time < fromUnixTimestamp(%(last)s + 60)
    and (venue, symbol, interval, toUnixTimestamp(toStartOfMinute(open_time))) in %(starts)s
