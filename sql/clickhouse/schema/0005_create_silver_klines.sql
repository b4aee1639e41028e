-- Grain: one kline. Natural key: venue, symbol, interval, open_time. Rerun is safe: rows of the same key collapse to
-- the highest row_version: a closed kline beats an open one, among equals the later receipt_time wins.
create table if not exists silver_klines (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    interval LowCardinality(String) comment 'length, in the spelling of the venue (1m, 1h, 1M)',
    open_time DateTime64(6, 'UTC') codec(Delta, ZSTD(1)) comment 'first instant; identity of a kline in its series',
    close_time DateTime64(6, 'UTC') codec(Delta, ZSTD(1)) comment 'last instant, to the millisecond, as the venue says',
    open Decimal(38, 18) codec(GCD, ZSTD(1)) comment 'first price',
    high Decimal(38, 18) codec(GCD, ZSTD(1)) comment 'highest price',
    low Decimal(38, 18) codec(GCD, ZSTD(1)) comment 'lowest price',
    close Decimal(38, 18) codec(GCD, ZSTD(1)) comment 'last price',
    volume Decimal(38, 18) codec(GCD, ZSTD(1)) comment 'traded, in the base asset',
    quote_volume Decimal(38, 18) codec(GCD, ZSTD(1)) comment 'traded, in the quote asset',
    trade_count Int64 codec(ZSTD(1)) comment 'number of trades',
    taker_buy_volume Decimal(38, 18) codec(GCD, ZSTD(1)) comment 'bought by takers, in the base asset',
    taker_buy_quote_volume Decimal(38, 18) codec(GCD, ZSTD(1)) comment 'bought by takers, in the quote asset',
    is_closed Bool comment 'false while the interval was still running',
    source LowCardinality(String) comment 'rest, archive or stream',
    receipt_time DateTime64(6, 'UTC') codec(Delta, ZSTD(1)) comment 'when tickhouse received it',
    object_key LowCardinality(String) comment 'object it came from',
    load_time DateTime64(6, 'UTC') codec(Delta, ZSTD(1)) comment 'when it was inserted',
    row_version UInt64 codec(Delta, ZSTD(1)) comment 'is_closed in the top bit, receipt_time in microseconds below'
)
engine = ReplacingMergeTree(row_version)
partition by toYYYYMM(open_time)
order by (venue, symbol, interval, open_time)
settings non_replicated_deduplication_window = 10000
comment 'Klines, one row each once merged: query the view klines'
