-- Takes out of stored_cross_venue what may stand on rows that silver lost; the steps of the same window build what is still true.
-- Grain: that of stored_cross_venue. Rerun is safe: the window is done again as a whole. The starts are in seconds since the epoch.
delete from stored_cross_venue
where basis = %(basis)s and open_time >= fromUnixTimestamp(%(first)s) and open_time < fromUnixTimestamp(%(last)s + 60)
    and ((venue_a, symbol_a, toUnixTimestamp(open_time)) in %(starts)s or (venue_b, symbol_b, toUnixTimestamp(open_time)) in %(starts)s)
