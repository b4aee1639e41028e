-- Grain: one minute of one market at two venues, by one kind of price. Natural key: basis, market, venue_a, symbol_a, venue_b,
-- symbol_b, open_time. Rerun is safe: a row that is built again replaces the older build, the higher build_version wins.
create table if not exists stored_cross_venue (
    basis LowCardinality(String) comment 'book: the middle of the best prices of every proven second; trades: the last price of every second',
    market LowCardinality(String) comment 'the market''s name across venues: see gold_symbol_map',
    venue_a LowCardinality(String) comment 'the first of the two, by name',
    symbol_a LowCardinality(String) comment 'its symbol',
    venue_b LowCardinality(String) comment 'the second of the two',
    symbol_b LowCardinality(String) comment 'its symbol',
    open_time DateTime64(6, 'UTC') comment 'first instant of the minute, by the venues'' clocks' codec(Delta, ZSTD(1)),
    common_seconds UInt8 comment 'seconds of the minute in which both had a price; by trades, a price stands until the next trade of the minute',
    last_price_a Decimal(38, 18) comment 'its last one in the minute' codec(GCD, ZSTD(1)),
    last_price_b Decimal(38, 18) comment 'its last one in the minute' codec(GCD, ZSTD(1)),
    average_spread_bps Float64 comment 'b above a, average of the common seconds, in 1/10,000 of their mean' codec(ZSTD(1)),
    lowest_spread_bps Float64 comment 'the lowest of them' codec(ZSTD(1)),
    highest_spread_bps Float64 comment 'the highest of them' codec(ZSTD(1)),
    lead_seconds Nullable(Int8) comment 'by how many seconds the returns of a come before those of b where they agree best; negative: b leads',
    lead_correlation Nullable(Float64) comment 'of the one-second returns at that lead',
    build_version UInt64 comment 'which build: see ops_transform_runs' codec(Delta, ZSTD(1)),
    index build_version_minmax build_version type minmax granularity 1
)
engine = ReplacingMergeTree(build_version)
partition by toYYYYMM(open_time)
order by (basis, market, venue_a, symbol_a, venue_b, symbol_b, open_time)
comment 'Spread and lead of a market at two venues, one row each once merged: query the view gold_cross_venue_1m'
