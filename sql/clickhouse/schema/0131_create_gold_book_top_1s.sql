-- Grain: one symbol and second in which the book is provably right. Natural key: venue, symbol, open_time. A view: exact at
-- any moment. A second without a row is one in which it is not: see gold_book_coverage.
-- microprice: best prices weighted by the quantity on the other side. imbalance: -1 only asks, 1 only bids, at the best prices.
-- reach_bps: to this distance from the middle every level is known; depth beyond it is a lower bound. A snapshot ends somewhere:
-- once the price has moved beyond its end (not is_within_reach), levels that have not changed since are not known.
create view if not exists gold_book_top_1s
as
select
    venue,
    symbol,
    open_time,
    last_update_id,
    toDecimal256(best_bid_price, 18) as best_bid_price,
    toDecimal256(best_bid_quantity, 18) as best_bid_quantity,
    toDecimal256(best_ask_price, 18) as best_ask_price,
    toDecimal256(best_ask_quantity, 18) as best_ask_quantity,
    best_ask_price - best_bid_price as spread,
    (toFloat64(best_bid_price) + toFloat64(best_ask_price)) / 2 as middle,
    spread / middle * 1e4 as spread_bps,
    (toFloat64(best_bid_price) * toFloat64(best_ask_quantity) + toFloat64(best_ask_price) * toFloat64(best_bid_quantity))
        / (toFloat64(best_bid_quantity) + toFloat64(best_ask_quantity)) as microprice,
    (toFloat64(best_bid_quantity) - toFloat64(best_ask_quantity))
        / (toFloat64(best_bid_quantity) + toFloat64(best_ask_quantity)) as imbalance,
    toDecimal256(bid_depth_10bps, 18) as bid_depth_10bps,
    toDecimal256(ask_depth_10bps, 18) as ask_depth_10bps,
    toDecimal256(bid_depth_50bps, 18) as bid_depth_50bps,
    toDecimal256(ask_depth_50bps, 18) as ask_depth_50bps,
    toDecimal256(bid_depth_100bps, 18) as bid_depth_100bps,
    toDecimal256(ask_depth_100bps, 18) as ask_depth_100bps,
    (1 - toFloat64(bid_reach_price) / middle) * 1e4 as bid_reach_bps,
    (toFloat64(ask_reach_price) / middle - 1) * 1e4 as ask_reach_bps,
    ifNull(best_bid_price >= bid_reach_price and best_ask_price <= ask_reach_price, false) as is_within_reach
from stored_book_top final
settings do_not_merge_across_partitions_select_final = 1
comment 'Best bid and ask, spread, microprice, imbalance and depth at the end of every second in which the book is provably right'
