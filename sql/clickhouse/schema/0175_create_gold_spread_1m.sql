-- Grain: one minute of one market at two venues. Natural key: market, venue_a, symbol_a, venue_b, symbol_b, open_time. A view:
-- exact at any moment. Closes of gold_ohlcv_1m: there is one wherever both venues have a kline or a trade.
create view if not exists gold_spread_1m
as
with closes as (
    select
        market,
        venue,
        symbol,
        open_time,
        close,
        is_complete
    from gold_ohlcv_1m
    inner join (select venue, symbol, market from gold_symbol_map) as names using (venue, symbol)
)
select
    a.market as market,
    a.venue as venue_a,
    a.symbol as symbol_a,
    b.venue as venue_b,
    b.symbol as symbol_b,
    a.open_time as open_time,
    a.close as close_a,
    b.close as close_b,
    b.close - a.close as spread,
    toFloat64(b.close - a.close) / ((toFloat64(a.close) + toFloat64(b.close)) / 2) * 1e4 as spread_bps,
    a.is_complete and b.is_complete as is_complete
from closes as a
inner join closes as b on a.market = b.market and a.open_time = b.open_time
where a.venue < b.venue
comment 'How far the closes of one market at two venues are apart, per minute'
