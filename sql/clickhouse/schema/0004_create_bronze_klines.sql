-- Grain: one kline as landed, once per object version. No natural key: append-only. Rerun of an insert is safe:
-- the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the partition
-- follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_klines (
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
    object_key LowCardinality(String) default getSetting('log_comment') comment 'object it came from: the loader names it in the query''s log_comment',
    load_time DateTime64(6, 'UTC') default now64(6) codec(Delta, ZSTD(1)) comment 'when it was inserted'
)
engine = MergeTree
partition by toYYYYMM(open_time)
order by (venue, symbol, interval, open_time)
settings non_replicated_deduplication_window = 10000
comment 'Klines as landed, every version of every object'
