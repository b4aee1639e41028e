-- Grain: a minute in which silver lost a row that an object no longer has. No natural key: append-only. Rerun is safe:
-- `if not exists`; a minute that is here twice is built twice.
create table if not exists ops_lost_minutes (
    dataset LowCardinality(String) comment 'trades, klines, depth_diffs or depth_snapshots',
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    minute DateTime('UTC') comment 'of the row; of a kline the minute in which it opened',
    load_time DateTime64(6, 'UTC') default now64(6) comment 'when it was taken out: the transforms look at it as at a load'
)
engine = MergeTree
order by load_time
comment 'Where gold has to be built anew although nothing was loaded'
