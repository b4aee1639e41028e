-- Grain: one symbol of one venue. Natural key: venue, symbol. A view: exact at any moment, your symbol_aliases included.
-- Base and quote asset: where the symbol has a separator, at it; else the quote is the longest known one it ends with. PERP and
-- dates behind a separator name a contract, no asset; such contracts are quoted in USD, USDT or USDC.
-- market: what is compared with each other has one. A contract in USD has the market of USDT.
-- kind: spot, perpetual or delivery. A venue of contracts says so at the end of its name (ADD_A_VENUE.md): binance-usdm.
-- delivery_time: the symbol has the day, Binance delivers at 08:00 UTC. Null: none.
create or replace view gold_symbol_map
as
select
    names.venue as venue,
    names.symbol as symbol,
    multiIf(
        aliases.market != '', toString(aliases.market),
        is_contract, concat(base_asset, if(quote_asset = 'USD', 'USDT', quote_asset)),
        toString(names.market)
    ) as market,
    splitByRegexp('[-_/]', toString(symbol)) as parts,
    toBool(length(parts) = 2 and match(parts[2], '^(PERP|[0-9]{6})$')) as is_contract,
    multiIf(aliases.market != '', toString(aliases.market), is_contract, upper(parts[1]), toString(names.market)) as letters,
    arrayFirst(
        quote -> endsWith(letters, quote) and letters != quote,
        if(
            is_contract and aliases.market = '',
            ['USDT', 'USDC', 'USD'],
            ['FDUSD', 'USDT', 'USDC', 'TUSD', 'BUSD', 'USD1', 'USD', 'EUR', 'TRY', 'BRL', 'BTC', 'ETH', 'BNB', 'KCS', 'TRX']
        )
    ) as known_quote,
    if(length(parts) = 2 and not is_contract and aliases.market = '', upper(parts[2]), known_quote) as quote_asset,
    substring(letters, 1, length(letters) - length(quote_asset)) as base_asset,
    multiIf(
        is_contract and parts[2] != 'PERP', 'delivery',
        is_contract or match(toString(venue), '-(usdm|coinm|futures)$'), 'perpetual',
        'spot'
    ) as kind,
    if(kind = 'delivery', parseDateTimeOrNull(concat('20', parts[2], '08'), '%Y%m%d%H', 'UTC'), null) as delivery_time
from (select venue, symbol, market from stored_symbol_names final) as names
left join (select venue, symbol, market from symbol_aliases final) as aliases using (venue, symbol)
comment 'Which symbols of different venues are one market: BTC-USDT and BTCUSDT are BTCUSDT; spot, perpetual or delivery';

-- Grain: one minute of one market at two venues, by one kind of price. Natural key: basis, market, venue_a, symbol_a, venue_b,
-- symbol_b, open_time. A view: exact at any moment. kind_a, kind_b: as in gold_symbol_map; where they differ, the spread is that of
-- a contract against spot.
create or replace view gold_cross_venue_1m
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
    lead_correlation,
    kind_a,
    kind_b
from (select * from stored_cross_venue final) as compared
left join (select venue as venue_a, symbol as symbol_a, kind as kind_a from gold_symbol_map) as first_names using (venue_a, symbol_a)
left join (select venue as venue_b, symbol as symbol_b, kind as kind_b from gold_symbol_map) as second_names using (venue_b, symbol_b)
settings do_not_merge_across_partitions_select_final = 1
comment 'The spread between two venues and which of them leads, per minute: by books that are provably right, and by trades';

-- Grain: one minute of one market at two venues. Natural key: market, venue_a, symbol_a, venue_b, symbol_b, open_time. A view:
-- exact at any moment. Closes of gold_ohlcv_1m: there is one wherever both venues have a kline or a trade. Pairs are those of
-- gold_cross_venue_1m.
create or replace view gold_spread_1m
as
with closes as (
    select
        market,
        venue,
        symbol,
        kind,
        delivery_time,
        open_time,
        close,
        is_complete
    from (select venue, symbol, open_time, close, is_complete from gold_ohlcv_1m) as minutes
    inner join (select venue, symbol, market, kind, delivery_time from gold_symbol_map) as symbol_names using (venue, symbol)
)
select
    market,
    venue_a,
    symbol_a,
    venue_b,
    symbol_b,
    open_time,
    close_a,
    close_b,
    close_b - close_a as spread,
    toFloat64(spread) / ((toFloat64(close_a) + toFloat64(close_b)) / 2) * 1e4 as spread_bps,
    is_complete_a and is_complete_b as is_complete,
    kind_a,
    kind_b
from (
    select
        market,
        open_time,
        venue as venue_a,
        symbol as symbol_a,
        close as close_a,
        is_complete as is_complete_a,
        kind as kind_a,
        delivery_time as delivery_a
    from closes
) as first_closes
inner join (
    select
        market,
        open_time,
        venue as venue_b,
        symbol as symbol_b,
        close as close_b,
        is_complete as is_complete_b,
        kind as kind_b,
        delivery_time as delivery_b
    from closes
) as second_closes using (market, open_time)
where venue_a < venue_b
    and (kind_a = kind_b and ifNull(delivery_a, 0) = ifNull(delivery_b, 0) or kind_a = 'spot' or kind_b = 'spot')
comment 'How far the closes of one market at two venues are apart, per minute';
