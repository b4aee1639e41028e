-- Grain: one symbol and second in which the book is provably right. Natural key: venue, symbol, open_time. A view: exact at
-- any moment. A second without a row is one in which it is not: see gold_book_coverage.
-- microprice: best prices weighted by the quantity on the other side. imbalance: -1 only asks, 1 only bids, at the best prices.
-- reach_bps: to this distance from the middle every level is known; depth beyond it is a lower bound. A snapshot ends somewhere:
-- once the price has moved beyond its end (not is_within_reach), levels that have not changed since are not known.
create or replace view gold_book_top_1s
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
    toBool(ifNull(best_bid_price >= bid_reach_price and best_ask_price <= ask_reach_price, false)) as is_within_reach
from stored_book_top final
settings do_not_merge_across_partitions_select_final = 1
comment 'Best bid and ask, spread, microprice, imbalance and depth at the end of every second in which the book is provably right';

-- Grain: one symbol and hour. Natural key: venue, symbol, open_time. A view: exact at any moment.
-- within_reach_seconds: seconds in gold_book_top_1s whose best prices are inside the snapshot they stand on.
create or replace view gold_book_coverage
as
select
    venue,
    symbol,
    open_time,
    proven_seconds,
    recorded_seconds,
    proven_seconds / 3600 as coverage,
    within_reach_seconds,
    diffs,
    holes,
    snapshots
from (select * from stored_book_hours final) as hours
left join (
    select
        venue,
        symbol,
        toDateTime64(toStartOfHour(second_time), 6, 'UTC') as open_time,
        countIf(is_within_reach) as within_reach_seconds
    from (
        select
            venue,
            symbol,
            open_time as second_time,
            is_within_reach
        from gold_book_top_1s
    )
    group by venue, symbol, open_time
) as tops using (venue, symbol, open_time)
settings do_not_merge_across_partitions_select_final = 1
comment 'Seconds of every hour in which the book of a symbol is provably right';

-- Grain: one level of the book of a symbol at an instant. Natural key: side, price. A parameterised view, computed when asked:
--   select * from gold_book_at(venue = 'binance', symbol = 'BTCUSDT', at = '2024-08-09 00:00:00.5')
-- The last snapshot that is not newer than the last diff up to the instant (by event_time, the venue's clock), and every diff
-- from there on. is_proven: the diffs go on from the snapshot and from each other without a hole.
create or replace view gold_book_at
as
with last_diff as (
    select max(last_update_id)
    from silver_depth_diffs final
    where venue = {venue:String} and symbol = {symbol:String} and event_time <= {at:DateTime64(6, 'UTC')}
        and event_time > {at:DateTime64(6, 'UTC')} - toIntervalDay(1)
),
snapshot_id as (
    select max(last_update_id)
    from silver_depth_snapshots
    where venue = {venue:String} and symbol = {symbol:String} and last_update_id <= (select * from last_diff)
),
diffs as (
    select
        first_update_id,
        last_update_id,
        lagInFrame(last_update_id, 1, assumeNotNull((select * from snapshot_id))) over (
            order by last_update_id rows between unbounded preceding and current row
        ) as id_before,
        bids,
        asks
    from silver_depth_diffs final
    where venue = {venue:String} and symbol = {symbol:String}
        and last_update_id > (select * from snapshot_id) and last_update_id <= (select * from last_diff)
),
changes as (
    select
        last_update_id as update_id,
        arrayJoin(arrayConcat(
            arrayMap(level -> ('bid', level.price, level.quantity), bids),
            arrayMap(level -> ('ask', level.price, level.quantity), asks)
        )) as level
    from silver_depth_snapshots final
    where venue = {venue:String} and symbol = {symbol:String} and last_update_id = (select * from snapshot_id)
    union all
    select
        last_update_id,
        arrayJoin(arrayConcat(
            arrayMap(level -> ('bid', level.price, level.quantity), bids),
            arrayMap(level -> ('ask', level.price, level.quantity), asks)
        ))
    from diffs
)
select
    level.1 as side,
    toDecimal256(level.2, 18) as price,
    toDecimal256(argMax(level.3, update_id), 18) as quantity,
    greatest((select * from snapshot_id), (select max(last_update_id) from diffs)) as last_update_id,
    toBool(assumeNotNull((select count() = 0 or min(first_update_id <= id_before + 1) from diffs))) as is_proven
from changes
group by side, price
having quantity > 0
order by side, if(side = 'bid', -price, price)
comment 'The book of a symbol at any instant, best levels first: parameters venue, symbol, at';
