-- Grain: one OHLCV row of one interval. Natural key: interval, venue, symbol, open_time. Rerun is safe: a row that is
-- built again replaces the older build, the higher build_version wins.
-- A step reads a few rows of every symbol: small granules keep what it reads besides small.
create table if not exists stored_ohlcv (
    interval LowCardinality(String) comment '1s, 1m, 5m, 15m, 30m, 1h, 4h, 1d',
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    open_time DateTime64(6, 'UTC') comment 'first instant; intervals begin at multiples of their length since the epoch' codec(Delta, ZSTD(1)),
    open Decimal(38, 18) comment 'first price' codec(GCD, ZSTD(1)),
    high Decimal(38, 18) comment 'highest price' codec(GCD, ZSTD(1)),
    low Decimal(38, 18) comment 'lowest price' codec(GCD, ZSTD(1)),
    close Decimal(38, 18) comment 'last price' codec(GCD, ZSTD(1)),
    volume Nullable(Decimal(38, 18)) comment 'traded, in the base asset; null: more than 38 digits' codec(GCD, ZSTD(1)),
    quote_volume Nullable(Decimal(38, 18)) comment 'traded, in the quote asset; null: more than 38 digits' codec(GCD, ZSTD(1)),
    trade_count Nullable(Int64) comment 'number of trades; null: more than 63 bits' codec(ZSTD(1)),
    taker_buy_volume Nullable(Decimal(38, 18)) comment 'bought by takers, in the base asset; null: more than 38 digits' codec(GCD, ZSTD(1)),
    taker_buy_quote_volume Nullable(Decimal(38, 18)) comment 'bought by takers, in the quote asset; null: more than 38 digits' codec(GCD, ZSTD(1)),
    exact_quote_volume Nullable(Decimal(76, 36)) comment 'quote_volume with all its digits, which has 18 of them; null: more than 1e21' codec(GCD, ZSTD(1)),
    source LowCardinality(String) comment 'trades, klines, or mixed where a longer interval was made of both',
    is_complete Bool comment 'nothing is missing: the trade ids go on without a hole into the neighbouring intervals, or a closed kline, or complete parts',
    first_trade_id UInt64 comment 'source trades: lowest id, else 0' codec(Delta, ZSTD(1)),
    last_trade_id UInt64 comment 'source trades: highest id, else 0' codec(Delta, ZSTD(1)),
    follows_previous Bool comment 'source trades: the trade before the first one is here too',
    precedes_next Bool comment 'source trades: the trade after the last one is here too',
    build_version UInt64 comment 'which build: see ops_transform_runs' codec(Delta, ZSTD(1)),
    index build_version_minmax build_version type minmax granularity 1
)
engine = ReplacingMergeTree(build_version)
partition by (interval, toYear(open_time))
order by (interval, venue, symbol, open_time)
settings index_granularity = 1024
comment 'OHLCV of every interval, one row each once merged: query the views gold_ohlcv_1m and so on';

-- Grain: one OHLCV row of one interval. Natural key: interval, venue, symbol, open_time. A view: exact at any moment.
-- A volume is null where the sum has more digits than storage has; vwap is made of exact sums and
-- cut to 18 decimals: cut sums would be wrong by 1e-18 / volume, which is much for a small one.
create view if not exists gold_ohlcv
as
select
    interval,
    venue,
    symbol,
    open_time,
    toDecimal256(open, 18) as open,
    toDecimal256(high, 18) as high,
    toDecimal256(low, 18) as low,
    toDecimal256(close, 18) as close,
    toDecimal256(volume, 18) as volume,
    toDecimal256(quote_volume, 18) as quote_volume,
    trade_count,
    toDecimal256(taker_buy_volume, 18) as taker_buy_volume,
    toDecimal256(taker_buy_quote_volume, 18) as taker_buy_quote_volume,
    if(ifNull(volume, 0) = 0, null, divideDecimal(exact_quote_volume, if(ifNull(volume, 0) = 0, toDecimal128(1, 18), assumeNotNull(volume)), 18)) as vwap,
    source,
    is_complete
from stored_ohlcv final
settings do_not_merge_across_partitions_select_final = 1
comment 'OHLCV of every interval with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';
