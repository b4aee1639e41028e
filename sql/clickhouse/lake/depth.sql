-- Depth of the lake's compacted objects, for years that the warehouse no longer has. Not applied by `tickhouse migrate`: the named
-- collection `tickhouse_lake` must be there first (docs/operations.md). Filters on venue, symbol, date and ids leave objects out unread.

-- Grain: one diff message with the levels it changed. Natural key: venue, symbol, last_update_id. Rerun is safe: `or replace`, and a
-- view stores nothing. Of two versions of a day, which are both there for a while, each row is seen once: the first received.
create or replace view lake_depth_diffs
as
select
    venue,
    symbol,
    date,
    first_update_id,
    last_update_id,
    cast(bids, 'Array(Tuple(price Decimal(76, 18), quantity Decimal(76, 18)))') as bids,
    cast(asks, 'Array(Tuple(price Decimal(76, 18), quantity Decimal(76, 18)))') as asks,
    event_time,
    receipt_time
from s3(
    tickhouse_lake,
    filename = 'data_sources/depth_diffs/venue=*/symbol=*/date=*/compacted-*.parquet',
    format = 'Parquet',
    structure = 'venue String, symbol String, date Date, first_update_id UInt64, last_update_id UInt64,
        bids Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))), asks Array(Tuple(price Decimal(38, 18), quantity Decimal(38, 18))),
        event_time DateTime64(6, \'UTC\'), receipt_time DateTime64(6, \'UTC\')'
)
order by venue, symbol, last_update_id, receipt_time
limit 1 by venue, symbol, last_update_id
settings use_hive_partitioning = 1
comment 'Order book diffs of compacted objects in the lake';

-- Grain: one changed level of one diff message. Natural key: venue, symbol, last_update_id, side, price. Rerun is safe: `or replace`.
create or replace view lake_depth_levels
as
select
    venue,
    symbol,
    date,
    first_update_id,
    last_update_id,
    level.1 as side,
    level.2 as price,
    level.3 as quantity,
    event_time,
    receipt_time
from lake_depth_diffs
array join arrayConcat(
    arrayMap(bid -> ('bid', bid.price, bid.quantity), bids),
    arrayMap(ask -> ('ask', ask.price, ask.quantity), asks)
) as level
comment 'Order book diffs of compacted objects in the lake, one row per changed level';
