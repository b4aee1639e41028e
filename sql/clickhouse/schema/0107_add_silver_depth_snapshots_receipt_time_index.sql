-- Grain: none, an index: the snapshots before an instant are found without reading the rest.
-- Rerun is safe: `if not exists`. Parts from before the index are read as without it.
alter table silver_depth_snapshots add index if not exists receipt_time_minmax receipt_time type minmax granularity 1
