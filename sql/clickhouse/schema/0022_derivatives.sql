-- Grain: one mark price as landed, once per object version. No natural key: append-only. Rerun of an insert is
-- safe: the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the
-- partition follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_mark_prices (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    event_time DateTime64(6, 'UTC') comment 'when the venue sent it' codec(Delta, ZSTD(1)),
    mark_price Decimal(38, 18) comment 'price that profits and liquidations are counted with, in the quote asset' codec(GCD, ZSTD(1)),
    index_price Nullable(Decimal(38, 18)) comment 'of the underlying spot markets, in the quote asset; null where the venue does not send it' codec(ZSTD(1)),
    settle_price Nullable(Decimal(38, 18)) comment 'estimated settlement price; the venue: only useful in the last hour before the settlement' codec(ZSTD(1)),
    funding_rate Nullable(Decimal(38, 18)) comment 'of the funding period that runs, as a fraction (0.0001 is 0.01 %); null for contracts with a delivery date' codec(ZSTD(1)),
    next_funding_time Nullable(DateTime64(6, 'UTC')) comment 'when it is settled; null for contracts with a delivery date' codec(ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(event_time)
order by (venue, symbol, event_time)
settings non_replicated_deduplication_window = 10000
comment 'Mark prices as landed, every version of every object';

-- Grain: one mark price. Natural key: venue, symbol, event_time. Rerun is safe: rows of the same key
-- collapse to the highest first_received: of several recordings the one that was received first, whatever was loaded first.
create table if not exists silver_mark_prices (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    event_time DateTime64(6, 'UTC') comment 'when the venue sent it' codec(Delta, ZSTD(1)),
    mark_price Decimal(38, 18) comment 'price that profits and liquidations are counted with, in the quote asset' codec(GCD, ZSTD(1)),
    index_price Nullable(Decimal(38, 18)) comment 'of the underlying spot markets, in the quote asset; null where the venue does not send it' codec(ZSTD(1)),
    settle_price Nullable(Decimal(38, 18)) comment 'estimated settlement price; the venue: only useful in the last hour before the settlement' codec(ZSTD(1)),
    funding_rate Nullable(Decimal(38, 18)) comment 'of the funding period that runs, as a fraction (0.0001 is 0.01 %); null for contracts with a delivery date' codec(ZSTD(1)),
    next_funding_time Nullable(DateTime64(6, 'UTC')) comment 'when it is settled; null for contracts with a delivery date' codec(ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object',
    load_time DateTime64(6, 'UTC') comment 'when it was inserted' codec(Delta, ZSTD(1)),
    first_received UInt64 default toUInt64(9223372036854775807) - toUInt64(toUnixTimestamp64Micro(receipt_time)) comment 'greater for an earlier receipt_time: 2^63 - 1 minus its microseconds' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1,
    index load_time_minmax load_time type minmax granularity 1
)
engine = ReplacingMergeTree(first_received)
partition by toYYYYMM(event_time)
order by (venue, symbol, event_time)
settings non_replicated_deduplication_window = 10000
comment 'Mark prices, one row each once merged: query the view mark_prices';

-- Grain: one mark price per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by
-- natural key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_mark_prices_mv to silver_mark_prices
as
select
    venue,
    symbol,
    event_time,
    mark_price,
    index_price,
    settle_price,
    funding_rate,
    next_funding_time,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_mark_prices as landed
comment 'Deduplication of mark prices';

-- Grain: one mark price. Natural key: venue, symbol, event_time. A view: nothing is stored, exact at any moment.
create view if not exists mark_prices
as
select
    venue,
    symbol,
    event_time,
    toDecimal256(mark_price, 18) as mark_price,
    toDecimal256(index_price, 18) as index_price,
    toDecimal256(settle_price, 18) as settle_price,
    toDecimal256(funding_rate, 18) as funding_rate,
    next_funding_time,
    receipt_time
from silver_mark_prices final
settings do_not_merge_across_partitions_select_final = 1
comment 'Mark prices without doubles: what people query';

-- Grain: one settled funding rate as landed, once per object version. No natural key: append-only. Rerun of an insert is
-- safe: the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the
-- partition follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_funding_rates (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    funding_time DateTime64(6, 'UTC') comment 'when it was settled, as the venue says: up to some milliseconds after the hour' codec(Delta, ZSTD(1)),
    funding_rate Decimal(38, 18) comment 'as a fraction of the position (0.0001 is 0.01 %); positive: longs pay shorts' codec(ZSTD(1)),
    mark_price Nullable(Decimal(38, 18)) comment 'that it was settled with, in the quote asset; null where the venue does not say it' codec(ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(funding_time)
order by (venue, symbol, funding_time)
settings non_replicated_deduplication_window = 10000
comment 'Settled funding rates as landed, every version of every object';

-- Grain: one settled funding rate. Natural key: venue, symbol, funding_time. Rerun is safe: rows of the same key
-- collapse to the highest first_received: of several recordings the one that was received first, whatever was loaded first.
create table if not exists silver_funding_rates (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    funding_time DateTime64(6, 'UTC') comment 'when it was settled, as the venue says: up to some milliseconds after the hour' codec(Delta, ZSTD(1)),
    funding_rate Decimal(38, 18) comment 'as a fraction of the position (0.0001 is 0.01 %); positive: longs pay shorts' codec(ZSTD(1)),
    mark_price Nullable(Decimal(38, 18)) comment 'that it was settled with, in the quote asset; null where the venue does not say it' codec(ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object',
    load_time DateTime64(6, 'UTC') comment 'when it was inserted' codec(Delta, ZSTD(1)),
    first_received UInt64 default toUInt64(9223372036854775807) - toUInt64(toUnixTimestamp64Micro(receipt_time)) comment 'greater for an earlier receipt_time: 2^63 - 1 minus its microseconds' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1,
    index load_time_minmax load_time type minmax granularity 1
)
engine = ReplacingMergeTree(first_received)
partition by toYYYYMM(funding_time)
order by (venue, symbol, funding_time)
settings non_replicated_deduplication_window = 10000
comment 'Settled funding rates, one row each once merged: query the view funding_rates';

-- Grain: one settled funding rate per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by
-- natural key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_funding_rates_mv to silver_funding_rates
as
select
    venue,
    symbol,
    funding_time,
    funding_rate,
    mark_price,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_funding_rates as landed
comment 'Deduplication of settled funding rates';

-- Grain: one settled funding rate. Natural key: venue, symbol, funding_time. A view: nothing is stored, exact at any moment.
create view if not exists funding_rates
as
select
    venue,
    symbol,
    funding_time,
    toDecimal256(funding_rate, 18) as funding_rate,
    toDecimal256(mark_price, 18) as mark_price,
    receipt_time
from silver_funding_rates final
settings do_not_merge_across_partitions_select_final = 1
comment 'Settled funding rates without doubles: what people query';

-- Grain: one open interest of a market at an instant as landed, once per object version. No natural key: append-only. Rerun of an insert is
-- safe: the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the
-- partition follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_open_interest (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    period LowCardinality(String) comment 'of the history of the venue (5m); empty where the present value was requested',
    event_time DateTime64(6, 'UTC') comment 'when the venue counted it; of a history: the instant of its period, as the venue says' codec(Delta, ZSTD(1)),
    open_interest Decimal(38, 18) comment 'contracts that are open: in the base asset, of COIN-M in contracts' codec(GCD, ZSTD(1)),
    open_interest_value Nullable(Decimal(38, 18)) comment 'worth of them in the quote asset, of COIN-M in the base asset; null where the venue does not send it' codec(ZSTD(1)),
    source LowCardinality(String) comment 'poll: requested by a capture; rest, archive: the history of the venue',
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(event_time)
order by (venue, symbol, period, event_time)
settings non_replicated_deduplication_window = 10000
comment 'Open interest as landed, every version of every object';

-- Grain: one open interest of a market at an instant. Natural key: venue, symbol, period, event_time. Rerun is safe: rows of the same key
-- collapse to the highest first_received: of several recordings the one that was received first, whatever was loaded first.
create table if not exists silver_open_interest (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    period LowCardinality(String) comment 'of the history of the venue (5m); empty where the present value was requested',
    event_time DateTime64(6, 'UTC') comment 'when the venue counted it; of a history: the instant of its period, as the venue says' codec(Delta, ZSTD(1)),
    open_interest Decimal(38, 18) comment 'contracts that are open: in the base asset, of COIN-M in contracts' codec(GCD, ZSTD(1)),
    open_interest_value Nullable(Decimal(38, 18)) comment 'worth of them in the quote asset, of COIN-M in the base asset; null where the venue does not send it' codec(ZSTD(1)),
    source LowCardinality(String) comment 'poll: requested by a capture; rest, archive: the history of the venue',
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object',
    load_time DateTime64(6, 'UTC') comment 'when it was inserted' codec(Delta, ZSTD(1)),
    first_received UInt64 default toUInt64(9223372036854775807) - toUInt64(toUnixTimestamp64Micro(receipt_time)) comment 'greater for an earlier receipt_time: 2^63 - 1 minus its microseconds' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1,
    index load_time_minmax load_time type minmax granularity 1
)
engine = ReplacingMergeTree(first_received)
partition by toYYYYMM(event_time)
order by (venue, symbol, period, event_time)
settings non_replicated_deduplication_window = 10000
comment 'Open interest, one row each once merged: query the view open_interest';

-- Grain: one open interest of a market at an instant per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by
-- natural key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_open_interest_mv to silver_open_interest
as
select
    venue,
    symbol,
    period,
    event_time,
    open_interest,
    open_interest_value,
    source,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_open_interest as landed
comment 'Deduplication of open interest';

-- Grain: one open interest of a market at an instant. Natural key: venue, symbol, period, event_time. A view: nothing is stored, exact at any moment.
create view if not exists open_interest
as
select
    venue,
    symbol,
    period,
    event_time,
    toDecimal256(open_interest, 18) as open_interest,
    toDecimal256(open_interest_value, 18) as open_interest_value,
    source,
    receipt_time
from silver_open_interest final
settings do_not_merge_across_partitions_select_final = 1
comment 'Open interest without doubles: what people query';

-- Grain: one liquidation as landed, once per object version. No natural key: append-only. Rerun of an insert is
-- safe: the loader's token (key and etag) is remembered for the last 10,000 blocks. It counts per partition, so the
-- partition follows from the rows: by load_time a retry in the next month would be another insert.
create table if not exists bronze_liquidations (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    liquidation_id UInt64 comment 'of tickhouse: trade_time in milliseconds times 2^20, plus 20 bits made of the other values' codec(Delta, ZSTD(1)),
    side LowCardinality(String) comment 'of the order that liquidates: sell ends a long position, buy a short one',
    order_type LowCardinality(String) comment 'as the venue says: LIMIT, MARKET, ...',
    time_in_force LowCardinality(String) comment 'as the venue says: IOC, GTC, ...',
    status LowCardinality(String) comment 'of the order, as the venue says: FILLED, PARTIALLY_FILLED, NEW, ...',
    quantity Decimal(38, 18) comment 'of the order: in the base asset, of COIN-M in contracts' codec(GCD, ZSTD(1)),
    price Decimal(38, 18) comment 'of the order, in the quote asset' codec(GCD, ZSTD(1)),
    average_price Decimal(38, 18) comment 'of what is filled, in the quote asset; 0 where nothing is' codec(GCD, ZSTD(1)),
    last_filled_quantity Decimal(38, 18) comment 'of the last fill: in the base asset, of COIN-M in contracts' codec(GCD, ZSTD(1)),
    filled_quantity Decimal(38, 18) comment 'of all fills so far: in the base asset, of COIN-M in contracts' codec(GCD, ZSTD(1)),
    trade_time DateTime64(6, 'UTC') comment 'when the order was last traded' codec(Delta, ZSTD(1)),
    event_time DateTime64(6, 'UTC') comment 'when the venue sent it' codec(Delta, ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object, as in ops_loaded_objects',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was inserted' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1
)
engine = MergeTree
partition by toYYYYMM(trade_time)
order by (venue, symbol, liquidation_id)
settings non_replicated_deduplication_window = 10000
comment 'Liquidations as landed, every version of every object';

-- Grain: one liquidation. Natural key: venue, symbol, liquidation_id. Rerun is safe: rows of the same key
-- collapse to the highest first_received: of several recordings the one that was received first, whatever was loaded first.
create table if not exists silver_liquidations (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    liquidation_id UInt64 comment 'of tickhouse: trade_time in milliseconds times 2^20, plus 20 bits made of the other values' codec(Delta, ZSTD(1)),
    side LowCardinality(String) comment 'of the order that liquidates: sell ends a long position, buy a short one',
    order_type LowCardinality(String) comment 'as the venue says: LIMIT, MARKET, ...',
    time_in_force LowCardinality(String) comment 'as the venue says: IOC, GTC, ...',
    status LowCardinality(String) comment 'of the order, as the venue says: FILLED, PARTIALLY_FILLED, NEW, ...',
    quantity Decimal(38, 18) comment 'of the order: in the base asset, of COIN-M in contracts' codec(GCD, ZSTD(1)),
    price Decimal(38, 18) comment 'of the order, in the quote asset' codec(GCD, ZSTD(1)),
    average_price Decimal(38, 18) comment 'of what is filled, in the quote asset; 0 where nothing is' codec(GCD, ZSTD(1)),
    last_filled_quantity Decimal(38, 18) comment 'of the last fill: in the base asset, of COIN-M in contracts' codec(GCD, ZSTD(1)),
    filled_quantity Decimal(38, 18) comment 'of all fills so far: in the base asset, of COIN-M in contracts' codec(GCD, ZSTD(1)),
    trade_time DateTime64(6, 'UTC') comment 'when the order was last traded' codec(Delta, ZSTD(1)),
    event_time DateTime64(6, 'UTC') comment 'when the venue sent it' codec(Delta, ZSTD(1)),
    receipt_time DateTime64(6, 'UTC') comment 'when tickhouse received it' codec(Delta, ZSTD(1)),
    object_key LowCardinality(String) comment 'object it came from',
    object_etag LowCardinality(String) comment 'version of that object',
    load_time DateTime64(6, 'UTC') comment 'when it was inserted' codec(Delta, ZSTD(1)),
    first_received UInt64 default toUInt64(9223372036854775807) - toUInt64(toUnixTimestamp64Micro(receipt_time)) comment 'greater for an earlier receipt_time: 2^63 - 1 minus its microseconds' codec(Delta, ZSTD(1)),
    index object_keys object_key type bloom_filter granularity 1,
    index load_time_minmax load_time type minmax granularity 1
)
engine = ReplacingMergeTree(first_received)
partition by toYYYYMM(trade_time)
order by (venue, symbol, liquidation_id)
settings non_replicated_deduplication_window = 10000
comment 'Liquidations, one row each once merged: query the view liquidations';

-- Grain: one liquidation per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by
-- natural key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_liquidations_mv to silver_liquidations
as
select
    venue,
    symbol,
    liquidation_id,
    side,
    order_type,
    time_in_force,
    status,
    quantity,
    price,
    average_price,
    last_filled_quantity,
    filled_quantity,
    trade_time,
    event_time,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_liquidations as landed
comment 'Deduplication of liquidations';

-- Grain: one liquidation. Natural key: venue, symbol, liquidation_id. A view: nothing is stored, exact at any moment.
create view if not exists liquidations
as
select
    venue,
    symbol,
    liquidation_id,
    side,
    order_type,
    time_in_force,
    status,
    toDecimal256(quantity, 18) as quantity,
    toDecimal256(price, 18) as price,
    toDecimal256(average_price, 18) as average_price,
    toDecimal256(last_filled_quantity, 18) as last_filled_quantity,
    toDecimal256(filled_quantity, 18) as filled_quantity,
    trade_time,
    event_time,
    receipt_time
from silver_liquidations final
settings do_not_merge_across_partitions_select_final = 1
comment 'Liquidations without doubles: what people query';
