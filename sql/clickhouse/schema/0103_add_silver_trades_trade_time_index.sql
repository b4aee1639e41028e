-- Grain: none, an index: the trades of a minute are found without reading the rest.
-- Rerun is safe: `if not exists`. Parts from before the index are read as without it.
alter table silver_trades add index if not exists trade_time_minmax trade_time type minmax granularity 1
