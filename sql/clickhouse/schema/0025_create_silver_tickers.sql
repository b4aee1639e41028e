-- Grain: one ticker update. Natural key: venue, symbol, event_time. Rerun is safe: rows of the same key collapse to
-- the highest first_received: of several recordings the one that was received first, whatever was loaded first.
create table if not exists silver_tickers (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    event_time DateTime64(6, 'UTC') comment 'when the venue sent it' codec(Delta, ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    open Nullable(Decimal(38, 18)) comment 'price 24 hours ago, null where the venue does not send it' codec(ZSTD(1)),
    high Nullable(Decimal(38, 18)) comment 'highest price of the last 24 hours' codec(ZSTD(1)),
    low Nullable(Decimal(38, 18)) comment 'lowest price of the last 24 hours' codec(ZSTD(1)),
    close Decimal(38, 18) comment 'last price' codec(GCD, ZSTD(1)),
    volume Nullable(Decimal(38, 18)) comment 'traded in the last 24 hours, in the base asset' codec(ZSTD(1)),
    quote_volume Nullable(Decimal(38, 18)) comment 'traded in the last 24 hours, in the quote asset' codec(ZSTD(1)),
    best_bid_price Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    best_bid_quantity Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    best_ask_price Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    best_ask_quantity Nullable(Decimal(38, 18)) comment 'null where the venue does not send it' codec(ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object',
    load_time DateTime64(6, 'UTC') comment 'when it was inserted' codec(Delta, ZSTD(1)),
    first_received UInt64 default toUInt64(9223372036854775807) - toUInt64(toUnixTimestamp64Micro(receipt_time)) comment 'greater for an earlier receipt_time: 2^63 - 1 minus its microseconds' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = ReplacingMergeTree(first_received)
partition by toYYYYMM(event_time)
order by (venue, symbol, event_time)
settings non_replicated_deduplication_window = 10000
comment 'Rolling 24 hour tickers, one row each once merged: query the view tickers'
