-- Grain: one aggregate trade as landed, once per object version. No natural key: append-only. Rerun of an insert is safe: the
-- loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the partition
-- follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_agg_trades (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    agg_trade_id UInt64 comment 'the venue''s id of the aggregate, grows in a symbol' codec(Delta, ZSTD(1)),
    price Decimal(38, 18) comment 'in the quote asset' codec(GCD, ZSTD(1)),
    quantity Decimal(38, 18) comment 'of all its trades, in the base asset; of COIN-M in contracts' codec(GCD, ZSTD(1)),
    first_trade_id UInt64 comment 'the first trade in it, as in trades' codec(Delta, ZSTD(1)),
    last_trade_id UInt64 comment 'the last trade in it' codec(Delta, ZSTD(1)),
    is_buyer_maker Bool comment 'true: the buyer''s order was in the book, the seller was the aggressor',
    trade_time DateTime64(6, 'UTC') comment 'when the venue matched it' codec(Delta, ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(trade_time)
order by (venue, symbol, agg_trade_id)
settings non_replicated_deduplication_window = 10000
comment 'Aggregate trades as landed, every version of every object';

-- Grain: one aggregate trade. Natural key: venue, symbol, agg_trade_id. Rerun is safe: rows of the same key collapse to the
-- highest first_received: of several recordings the one that was received first, whatever was loaded first.
create table if not exists silver_agg_trades (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    agg_trade_id UInt64 comment 'the venue''s id of the aggregate, grows in a symbol' codec(Delta, ZSTD(1)),
    price Decimal(38, 18) comment 'in the quote asset' codec(GCD, ZSTD(1)),
    quantity Decimal(38, 18) comment 'of all its trades, in the base asset; of COIN-M in contracts' codec(GCD, ZSTD(1)),
    first_trade_id UInt64 comment 'the first trade in it, as in trades' codec(Delta, ZSTD(1)),
    last_trade_id UInt64 comment 'the last trade in it' codec(Delta, ZSTD(1)),
    is_buyer_maker Bool comment 'true: the buyer''s order was in the book, the seller was the aggressor',
    trade_time DateTime64(6, 'UTC') comment 'when the venue matched it' codec(Delta, ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object',
    load_time DateTime64(6, 'UTC') comment 'when it was inserted' codec(Delta, ZSTD(1)),
    first_received UInt64 default toUInt64(9223372036854775807) - toUInt64(toUnixTimestamp64Micro(receipt_time)) comment 'greater for an earlier receipt_time: 2^63 - 1 minus its microseconds' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1,
    index load_time_minmax load_time type minmax granularity 1,
    index trade_time_minmax trade_time type minmax granularity 1
)
engine = ReplacingMergeTree(first_received)
partition by toYYYYMM(trade_time)
order by (venue, symbol, agg_trade_id)
settings non_replicated_deduplication_window = 10000
comment 'Aggregate trades, one row each once merged: query the view agg_trades';

-- Grain: one aggregate trade per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by natural
-- key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_agg_trades_mv to silver_agg_trades
as
select
    venue,
    symbol,
    agg_trade_id,
    price,
    quantity,
    first_trade_id,
    last_trade_id,
    is_buyer_maker,
    trade_time,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_agg_trades as landed
comment 'Deduplication of aggregate trades';

-- Grain: one aggregate trade. Natural key: venue, symbol, agg_trade_id. A view: nothing is stored, exact at any moment.
create view if not exists agg_trades
as
select
    venue,
    symbol,
    agg_trade_id,
    toDecimal256(price, 18) as price,
    toDecimal256(quantity, 18) as quantity,
    first_trade_id,
    last_trade_id,
    is_buyer_maker,
    trade_time,
    receipt_time
from silver_agg_trades final
settings do_not_merge_across_partitions_select_final = 1
comment 'Aggregate trades without doubles: what people query';
