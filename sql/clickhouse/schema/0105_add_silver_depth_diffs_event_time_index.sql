-- Grain: none, an index: the diffs of a minute are found without reading the rest.
-- Rerun is safe: `if not exists`. Parts from before the index are read as without it.
alter table silver_depth_diffs add index if not exists event_time_minmax event_time type minmax granularity 1
