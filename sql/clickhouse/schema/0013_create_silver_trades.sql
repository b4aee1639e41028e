-- Grain: one trade. Natural key: venue, symbol, trade_id. Rerun is safe: rows of the same key collapse to the
-- highest first_received: of several recordings the one that was received first, whatever was loaded first.
create table if not exists silver_trades (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    trade_id UInt64 codec(Delta, ZSTD(1)) comment 'the venue''s id, counts up by one in a symbol',
    price Decimal(38, 18) codec(GCD, ZSTD(1)) comment 'in the quote asset',
    quantity Decimal(38, 18) codec(GCD, ZSTD(1)) comment 'in the base asset',
    is_buyer_maker Bool comment 'true: the buyer''s order was in the book, the seller was the aggressor',
    trade_time DateTime64(6, 'UTC') codec(Delta, ZSTD(1)) comment 'when the venue matched it',
    event_time DateTime64(6, 'UTC') codec(Delta, ZSTD(1)) comment 'when the venue sent it; trade_time for a trade that was healed over REST',
    receipt_time DateTime64(6, 'UTC') codec(Delta, ZSTD(1)) comment 'when tickhouse received it',
    object_key LowCardinality(String) comment 'object it came from',
    load_time DateTime64(6, 'UTC') codec(Delta, ZSTD(1)) comment 'when it was inserted',
    first_received UInt64 codec(Delta, ZSTD(1)) comment 'greater for an earlier receipt_time: 2^63 - 1 minus its microseconds'
)
engine = ReplacingMergeTree(first_received)
partition by toYYYYMM(trade_time)
order by (venue, symbol, trade_id)
settings non_replicated_deduplication_window = 10000
comment 'Trades, one row each once merged: query the view trades'
