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
comment 'Which symbols of different venues are one market: BTC-USDT and BTCUSDT are BTCUSDT'
