-- Grain: one symbol and hour. Natural key: venue, symbol, open_time. Rerun is safe: a row that is built again replaces the older
-- build, the higher build_version wins.
create table if not exists stored_book_hours (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    open_time DateTime64(6, 'UTC') comment 'the hour, by the venue''s event_time',
    proven_seconds Float64 comment 'seconds in which the book is a snapshot and every diff since',
    recorded_seconds Float64 comment 'seconds between diffs that follow each other without a hole, with a snapshot or without',
    diffs UInt64 comment 'diffs in the hour',
    holes UInt64 comment 'diffs in the hour that do not go on from the one before',
    snapshots UInt64 comment 'distinct snapshots the hour''s diffs stand on',
    build_version UInt64 comment 'which build: see ops_transform_runs' codec(Delta, ZSTD(1)),
    index build_version_minmax build_version type minmax granularity 1
)
engine = ReplacingMergeTree(build_version)
partition by toYear(open_time)
order by (venue, symbol, open_time)
comment 'How much of an hour a book is right, one row each once merged: query the view gold_book_coverage'
