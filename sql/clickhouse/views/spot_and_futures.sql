-- Grain: one second of a contract and of a spot market of its base and quote asset. Natural key: venue, symbol, spot_venue,
-- spot_symbol, open_time. A parameterised view, computed when asked:
--   select * from gold_basis_1s(venue = 'binance-usdm', symbol = 'BTCUSDT', since = '2024-08-09', until = '2024-08-10')
-- Only seconds in which both books are verified. is_within_reach: both best prices are inside of what their snapshots know, as in
-- gold_book_top_1s.
-- Spot markets are those with the market of the contract in gold_symbol_map, at every venue. A contract in USD is compared with
-- USDT, so that its basis contains the price of USDT in USD.
-- annualised_basis: of a year of 365 days, linear in the time to delivery (0.05 is 5 %). Null: a perpetual, whose basis is paid by
-- funding instead (gold_funding).
create or replace view gold_basis_1s
as
with
    contract as (
        select market, delivery_time
        from gold_symbol_map
        where venue = {venue:String} and symbol = {symbol:String} and kind != 'spot'
    ),
    spots as (
        select venue, symbol
        from gold_symbol_map
        where kind = 'spot' and market in (select market from contract)
    ),
    contract_tops as (
        select
            venue,
            symbol,
            open_time,
            divideDecimal(assumeNotNull(best_bid_price) + assumeNotNull(best_ask_price), toDecimal256('2', 0), 18) as mid,
            is_within_reach as is_contract_within_reach
        from gold_book_top_1s
        where venue = {venue:String} and symbol = {symbol:String}
            and open_time >= {since:DateTime64(6, 'UTC')} and open_time < {until:DateTime64(6, 'UTC')}
            and best_bid_price is not null and best_ask_price is not null
    ),
    spot_tops as (
        select
            venue as spot_venue,
            symbol as spot_symbol,
            open_time,
            divideDecimal(assumeNotNull(best_bid_price) + assumeNotNull(best_ask_price), toDecimal256('2', 0), 18) as spot_mid,
            is_within_reach as is_spot_within_reach
        from gold_book_top_1s
        where (venue, symbol) in (select venue, symbol from spots)
            and open_time >= {since:DateTime64(6, 'UTC')} and open_time < {until:DateTime64(6, 'UTC')}
            and best_bid_price is not null and best_ask_price is not null
    )
select
    venue,
    symbol,
    spot_venue,
    spot_symbol,
    open_time,
    mid,
    spot_mid,
    mid - spot_mid as basis,
    toFloat64(basis) / toFloat64(spot_mid) * 1e4 as basis_bps,
    (select any(delivery_time) from contract) as delivery_time,
    if(
        delivery_time > open_time,
        toFloat64(basis) / toFloat64(spot_mid) * 365 * 86400 / dateDiff('second', open_time, delivery_time),
        null
    ) as annualised_basis,
    toBool(is_contract_within_reach and is_spot_within_reach) as is_within_reach
from contract_tops
inner join spot_tops using (open_time)
where (select count() from contract) > 0
comment 'How far a contract is from spot, per second in which both books are verified: parameters venue, symbol, since, until';
