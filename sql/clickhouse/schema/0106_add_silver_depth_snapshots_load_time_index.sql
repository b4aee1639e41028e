-- Grain: none, an index: a transform finds what was loaded since its last pass without reading the rest.
-- Rerun is safe: `if not exists`. Parts from before the index are read as without it.
alter table silver_depth_snapshots add index if not exists load_time_minmax load_time type minmax granularity 1
