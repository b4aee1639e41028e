-- Takes out of stored_book_hours what may stand on rows that silver lost; the steps of the same window build what is still true.
-- Grain: that of stored_book_hours. Rerun is safe: the window is done again as a whole. The starts are in seconds since the epoch.
delete from stored_book_hours
where open_time >= fromUnixTimestamp(%(first)s) and open_time < fromUnixTimestamp(%(last)s + 3600)
    and (venue, symbol, toUnixTimestamp(toStartOfHour(open_time))) in %(starts)s
