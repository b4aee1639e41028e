-- Grain: none, an index: latencies of an hour are found without reading the rest.
-- Rerun is safe: `if not exists`. Parts from before the index are read as without it.
alter table silver_trades add index if not exists event_time_minmax event_time type minmax granularity 1
