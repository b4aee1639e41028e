-- Grain: one symbol of one venue. Natural key: venue, symbol. Rerun is safe: the later row of the same key wins.
create table if not exists symbol_aliases (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    market LowCardinality(String) comment 'its name across venues, base and quote asset without anything between: BTCUSDT',
    changed_time DateTime64(6, 'UTC') default now64(6) comment 'when it was written'
)
engine = ReplacingMergeTree(changed_time)
order by (venue, symbol)
comment 'Markets that venues call by different letters: insert your own; all others are found by their letters'
