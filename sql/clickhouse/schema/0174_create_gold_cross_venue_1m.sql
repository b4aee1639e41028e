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
comment 'The spread between two venues and which of them leads, per minute: by books that are provably right, and by trades'
