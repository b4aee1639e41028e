-- Grain: one level of the book of a symbol at an instant. Natural key: side, price. A parameterised view, computed when asked:
--   select * from gold_book_at(venue = 'binance', symbol = 'BTCUSDT', at = '2024-08-09 00:00:00.5')
-- The last snapshot that is not newer than the last diff up to the instant (by event_time, the venue's clock), and every diff
-- from there on. is_proven: the diffs go on from the snapshot and from each other without a hole.
create view if not exists gold_book_at
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
    (select count() = 0 or min(first_update_id <= id_before + 1) from diffs) as is_proven
from changes
group by side, price
having quantity > 0
order by side, if(side = 'bid', -price, price)
comment 'The book of a symbol at any instant, best levels first: parameters venue, symbol, at'
