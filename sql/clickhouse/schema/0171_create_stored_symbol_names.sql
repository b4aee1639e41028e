-- Grain: one symbol of one venue. Natural key: venue, symbol. Rerun is safe: the same symbol always gives the same names.
create table if not exists stored_symbol_names (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    market LowCardinality(String) comment 'the symbol in capitals, without - _ / and the like: BTC-USDT is BTCUSDT',
    build_version UInt64 comment 'which build: see ops_transform_runs' codec(Delta, ZSTD(1)),
    index build_version_minmax build_version type minmax granularity 1
)
engine = ReplacingMergeTree(build_version)
order by (venue, symbol)
comment 'Every symbol that was ever loaded and its letters, one row each once merged: query the view gold_symbol_map'
