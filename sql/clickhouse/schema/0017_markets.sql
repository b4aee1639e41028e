-- Grain: one symbol of one venue. Natural key: venue, symbol. Rerun is safe: the later row of the same key wins.
create table if not exists symbol_aliases (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    market LowCardinality(String) comment 'its name across venues, base and quote asset without anything between: BTCUSDT',
    changed_time DateTime64(6, 'UTC') default now64(6) comment 'when it was written'
)
engine = ReplacingMergeTree(changed_time)
order by (venue, symbol)
comment 'Markets that venues call by different letters: insert your own; all others are found by their letters';

-- Grain: one symbol of one venue. Natural key: venue, symbol. Rerun is safe: the same symbol always gives the same names.
create table if not exists stored_symbol_names (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    market LowCardinality(String) comment 'the symbol in capitals, without - _ / and the like: BTC-USDT is BTCUSDT',
    build_version UInt64 comment 'which build: see ops_transform_runs' codec(Delta, ZSTD(1)),
    index build_version_minmax build_version type minmax granularity 1
)
engine = ReplacingMergeTree(build_version)
order by (venue, symbol)
comment 'Every symbol that was ever loaded and its letters, one row each once merged: query the view gold_symbol_map';

-- Grain: one symbol of one venue. Natural key: venue, symbol. A view: exact at any moment, your symbol_aliases included.
-- Base and quote asset: where the symbol has a separator, at it; else the quote is the longest known one it ends with.
create view if not exists gold_symbol_map
as
select
    names.venue as venue,
    names.symbol as symbol,
    if(aliases.market = '', names.market, aliases.market) as market,
    splitByRegexp('[-_/]', toString(symbol)) as parts,
    arrayFirst(
        quote -> endsWith(market, quote) and market != quote,
        ['FDUSD', 'USDT', 'USDC', 'TUSD', 'BUSD', 'USD1', 'USD', 'EUR', 'TRY', 'BRL', 'BTC', 'ETH', 'BNB', 'KCS', 'TRX']
    ) as known_quote,
    if(length(parts) = 2 and aliases.market = '', upper(parts[2]), known_quote) as quote_asset,
    substring(market, 1, length(market) - length(quote_asset)) as base_asset
from (select venue, symbol, market from stored_symbol_names final) as names
left join (select venue, symbol, market from symbol_aliases final) as aliases using (venue, symbol)
comment 'Which symbols of different venues are one market: BTC-USDT and BTCUSDT are BTCUSDT';

-- Grain: one minute of one market at two venues, by one kind of price. Natural key: basis, market, venue_a, symbol_a, venue_b,
-- symbol_b, open_time. Rerun is safe: a row that is built again replaces the older build, the higher build_version wins.
create table if not exists stored_cross_venue (
    basis LowCardinality(String) comment 'book: the middle of the best prices of every proven second; trades: the last price of every second',
    market LowCardinality(String) comment 'the market''s name across venues: see gold_symbol_map',
    venue_a LowCardinality(String) comment 'the first of the two, by name',
    symbol_a LowCardinality(String) comment 'its symbol',
    venue_b LowCardinality(String) comment 'the second of the two',
    symbol_b LowCardinality(String) comment 'its symbol',
    open_time DateTime64(6, 'UTC') comment 'first instant of the minute, by the venues'' clocks' codec(Delta, ZSTD(1)),
    common_seconds UInt8 comment 'seconds of the minute in which both had a price; by trades, a price stands until the next trade of the minute',
    last_price_a Decimal(38, 18) comment 'its last one in the minute' codec(GCD, ZSTD(1)),
    last_price_b Decimal(38, 18) comment 'its last one in the minute' codec(GCD, ZSTD(1)),
    average_spread_bps Float64 comment 'b above a, average of the common seconds, in 1/10,000 of their mean' codec(ZSTD(1)),
    lowest_spread_bps Float64 comment 'the lowest of them' codec(ZSTD(1)),
    highest_spread_bps Float64 comment 'the highest of them' codec(ZSTD(1)),
    lead_seconds Nullable(Int8) comment 'by how many seconds the returns of a come before those of b where they agree best; negative: b leads',
    lead_correlation Nullable(Float64) comment 'of the one-second returns at that lead',
    build_version UInt64 comment 'which build: see ops_transform_runs' codec(Delta, ZSTD(1)),
    index build_version_minmax build_version type minmax granularity 1
)
engine = ReplacingMergeTree(build_version)
partition by toYYYYMM(open_time)
order by (basis, market, venue_a, symbol_a, venue_b, symbol_b, open_time)
comment 'Spread and lead of a market at two venues, one row each once merged: query the view gold_cross_venue_1m';

-- Grain: one minute of one market at two venues, by one kind of price. Natural key: basis, market, venue_a, symbol_a, venue_b,
-- symbol_b, open_time. A view: exact at any moment.
create view if not exists gold_cross_venue_1m
as
select
    basis,
    market,
    venue_a,
    symbol_a,
    venue_b,
    symbol_b,
    open_time,
    common_seconds,
    toDecimal256(last_price_a, 18) as last_price_a,
    toDecimal256(last_price_b, 18) as last_price_b,
    last_price_b - last_price_a as last_spread,
    average_spread_bps,
    lowest_spread_bps,
    highest_spread_bps,
    lead_seconds,
    lead_correlation
from stored_cross_venue final
settings do_not_merge_across_partitions_select_final = 1
comment 'The spread between two venues and which of them leads, per minute: by books that are provably right, and by trades';
