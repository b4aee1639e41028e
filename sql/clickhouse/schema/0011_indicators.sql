-- Grain: the indicators at one row of stored_ohlcv. Natural key: interval, venue, symbol, open_time. Rerun is safe: a row that
-- is built again replaces the older build, the higher build_version wins. Definitions: sql/clickhouse/gold/indicators.sql.
create table if not exists stored_indicators (
    interval LowCardinality(String) comment '1m, 5m, 15m, 30m, 1h, 4h, 1d',
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    open_time DateTime64(6, 'UTC') comment 'of the row of stored_ohlcv whose close is the newest price used' codec(Delta, ZSTD(1)),
    close Float64 comment 'that close' codec(Gorilla, ZSTD(1)),
    sma_20 Nullable(Float64) comment 'simple moving average of 20 closes; null while there are fewer' codec(ZSTD(1)),
    sma_50 Nullable(Float64) comment 'of 50 closes' codec(ZSTD(1)),
    sma_200 Nullable(Float64) comment 'of 200 closes' codec(ZSTD(1)),
    ema_12 Nullable(Float64) comment 'exponential moving average, weight 2 / 13' codec(ZSTD(1)),
    ema_26 Nullable(Float64) comment 'exponential moving average, weight 2 / 27' codec(ZSTD(1)),
    ema_50 Nullable(Float64) comment 'exponential moving average, weight 2 / 51' codec(ZSTD(1)),
    rsi_14 Nullable(Float64) comment 'Wilder''s relative strength index, 0 to 100; 0 where no price moved' codec(ZSTD(1)),
    macd Nullable(Float64) comment 'EMA of 12 less EMA of 26' codec(ZSTD(1)),
    macd_signal Nullable(Float64) comment 'EMA of 9 of macd' codec(ZSTD(1)),
    macd_histogram Nullable(Float64) comment 'macd less macd_signal' codec(ZSTD(1)),
    bollinger_upper Nullable(Float64) comment 'sma_20 and two standard deviations' codec(ZSTD(1)),
    bollinger_middle Nullable(Float64) comment 'sma_20' codec(ZSTD(1)),
    bollinger_lower Nullable(Float64) comment 'sma_20 less two standard deviations' codec(ZSTD(1)),
    atr_14 Nullable(Float64) comment 'Wilder''s average true range' codec(ZSTD(1)),
    is_complete Bool comment 'this row and the 199 before it are complete and follow each other without a hole',
    build_version UInt64 comment 'which build: see ops_transform_runs' codec(Delta, ZSTD(1)),
    index build_version_minmax build_version type minmax granularity 1
)
engine = ReplacingMergeTree(build_version)
partition by (interval, toYear(open_time))
order by (interval, venue, symbol, open_time)
settings index_granularity = 1024
comment 'Indicators of every interval, one row each once merged: query the views gold_indicators_1m and so on';
