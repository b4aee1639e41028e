-- Takes out of stored_quotes what may stand on rows that silver lost; the step of the same window builds what is still true.
-- Grain: that of stored_quotes. Rerun is safe: the window is done again as a whole. The starts are in seconds since the epoch.
delete from stored_quotes
where open_time >= fromUnixTimestamp(%(first)s) and open_time < fromUnixTimestamp(%(last)s + 60)
    and (venue, symbol, toUnixTimestamp(toStartOfMinute(open_time))) in %(starts)s
