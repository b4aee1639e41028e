-- Grain: one symbol of one venue. Natural key: venue, symbol. A view: exact at any moment, your symbol_aliases included.
-- Base and quote asset: where the symbol has a separator, at it; else the quote is the longest known one it ends with. PERP and
-- dates behind a separator name a contract (Binance futures), no asset.
create or replace view gold_symbol_map
as
select
    names.venue as venue,
    names.symbol as symbol,
    if(aliases.market = '', names.market, aliases.market) as market,
    splitByRegexp('[-_/]', toString(symbol)) as parts,
    length(parts) = 2 and match(parts[2], '^(PERP|[0-9]{6})$') as is_contract,
    if(is_contract and aliases.market = '', upper(parts[1]), market) as letters,
    arrayFirst(
        quote -> endsWith(letters, quote) and letters != quote,
        ['FDUSD', 'USDT', 'USDC', 'TUSD', 'BUSD', 'USD1', 'USD', 'EUR', 'TRY', 'BRL', 'BTC', 'ETH', 'BNB', 'KCS', 'TRX']
    ) as known_quote,
    if(length(parts) = 2 and not is_contract and aliases.market = '', upper(parts[2]), known_quote) as quote_asset,
    substring(letters, 1, length(letters) - length(quote_asset)) as base_asset
from (select venue, symbol, market from stored_symbol_names final) as names
left join (select venue, symbol, market from symbol_aliases final) as aliases using (venue, symbol)
comment 'Which symbols of different venues are one market: BTC-USDT and BTCUSDT are BTCUSDT';

-- Grain: one minute of one market at two venues. Natural key: market, venue_a, symbol_a, venue_b, symbol_b, open_time. A view:
-- exact at any moment. Closes of gold_ohlcv_1m: there is one wherever both venues have a kline or a trade.
create or replace view gold_spread_1m
as
with closes as (
    select
        market,
        venue,
        symbol,
        open_time,
        close,
        is_complete
    from (select venue, symbol, open_time, close, is_complete from gold_ohlcv_1m) as minutes
    inner join (select venue, symbol, market from gold_symbol_map) as symbol_names using (venue, symbol)
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
    is_complete_a and is_complete_b as is_complete
from (
    select market, open_time, venue as venue_a, symbol as symbol_a, close as close_a, is_complete as is_complete_a
    from closes
) as first_closes
inner join (
    select market, open_time, venue as venue_b, symbol as symbol_b, close as close_b, is_complete as is_complete_b
    from closes
) as second_closes using (market, open_time)
where venue_a < venue_b
comment 'How far the closes of one market at two venues are apart, per minute';
