-- Takes out of stored_symbol_names the symbols that lost their last row of silver.
-- Grain: that of stored_symbol_names. Rerun is safe: a symbol that is loaded again gets its name again.
delete from stored_symbol_names where (venue, symbol) in %(names)s
