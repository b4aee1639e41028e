-- Grain: one trade as landed, once per object version. No natural key: append-only. Rerun of an insert is safe: the
-- loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the partition
-- follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_trades (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    trade_id UInt64 comment 'the venue''s id, counts up by one in a symbol' codec(Delta, ZSTD(1)),
    price Decimal(38, 18) comment 'in the quote asset' codec(GCD, ZSTD(1)),
    quantity Decimal(38, 18) comment 'in the base asset' codec(GCD, ZSTD(1)),
    is_buyer_maker Bool comment 'true: the buyer''s order was in the book, the seller was the aggressor',
    trade_time DateTime64(6, 'UTC') comment 'when the venue matched it' codec(Delta, ZSTD(1)),
    event_time DateTime64(6, 'UTC') comment 'when the venue sent it; trade_time for a trade that was healed over REST' codec(Delta, ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(trade_time)
order by (venue, symbol, trade_id)
settings non_replicated_deduplication_window = 10000
comment 'Trades as landed, every version of every object'
