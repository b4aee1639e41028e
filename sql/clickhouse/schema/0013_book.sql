-- Grain: the book of one symbol at the end of one second. Natural key: venue, symbol, open_time. Rerun is safe: a row that is
-- built again replaces the older build, the higher build_version wins.
create table if not exists stored_book_top (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    open_time DateTime64(6, 'UTC') comment 'the second, by the venue''s event_time; values are as at its end' codec(Delta, ZSTD(1)),
    last_update_id UInt64 comment 'the update the book is at' codec(Delta, ZSTD(1)),
    best_bid_price Nullable(Decimal(38, 18)) comment 'null where the side is empty' codec(ZSTD(1)),
    best_bid_quantity Nullable(Decimal(38, 18)) comment 'in the base asset' codec(ZSTD(1)),
    best_ask_price Nullable(Decimal(38, 18)) comment 'null where the side is empty' codec(ZSTD(1)),
    best_ask_quantity Nullable(Decimal(38, 18)) comment 'in the base asset' codec(ZSTD(1)),
    bid_depth_10bps Nullable(Decimal(38, 18)) comment 'bids down to 10 basis points below the middle, in the base asset; null: more than 38 digits' codec(ZSTD(1)),
    ask_depth_10bps Nullable(Decimal(38, 18)) comment 'asks up to 10 basis points above the middle, in the base asset; null: more than 38 digits' codec(ZSTD(1)),
    bid_depth_50bps Nullable(Decimal(38, 18)) comment 'to 50 basis points; null: more than 38 digits' codec(ZSTD(1)),
    ask_depth_50bps Nullable(Decimal(38, 18)) comment 'to 50 basis points; null: more than 38 digits' codec(ZSTD(1)),
    bid_depth_100bps Nullable(Decimal(38, 18)) comment 'to 100 basis points; null: more than 38 digits' codec(ZSTD(1)),
    ask_depth_100bps Nullable(Decimal(38, 18)) comment 'to 100 basis points; null: more than 38 digits' codec(ZSTD(1)),
    bid_reach_price Nullable(Decimal(38, 18)) comment 'lowest bid of the snapshot: below it only levels that changed since are known' codec(ZSTD(1)),
    ask_reach_price Nullable(Decimal(38, 18)) comment 'highest ask of the snapshot: above it only levels that changed since are known' codec(ZSTD(1)),
    build_version UInt64 comment 'which build: see ops_transform_runs' codec(Delta, ZSTD(1)),
    index build_version_minmax build_version type minmax granularity 1
)
engine = ReplacingMergeTree(build_version)
partition by toYYYYMM(open_time)
order by (venue, symbol, open_time)
comment 'The top of the book every second, one row each once merged: query the view gold_book_top_1s';

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
comment 'How much of an hour a book is right, one row each once merged: query the view gold_book_coverage';
