-- Fills stored_book_top: the top of the book at the end of every second in which it is provably right (gold_book_coverage says
-- what that means: the newest snapshot and every diff since, in one unbroken run).
-- Grain: venue, symbol, second of event_time. Rerun is safe: a row is a function of FINAL silver from the hour before the
-- second's hour to the hour after it; it replaces itself.
-- How: a diff owns the seconds that end after it and not after the next one. Owners are counted through (place); a level has
-- its quantity from the place after its change to the place of its next change; unfolded over the places, the levels of one
-- place are a book. A bid that is there at every place is a lower bound of the best bid, so that bids more than 100 basis points
-- below the highest such bid are in no answer and are left out; the same for asks.
-- Depth: a price counts down to the limit, which is the middle less 10, 50 or 100 basis points, rounded to the inside at 18
-- decimals: prices have no more. Sums are Decimal(76, 18), and null where storage has no room (38 digits).
-- Touched: the hours that touched_books.sql found, from changed_from on. Of a symbol it reads from read_from on: the newest
-- snapshot that the first row it builds can stand on. Rows before that one do not matter to those after it.
insert into stored_book_top
with touched as (
    select
        arrayJoin(arrayEnumerate({touched:Array(Tuple(String, String, UInt32, Int64, UInt64))})) as book,
        {touched:Array(Tuple(String, String, UInt32, Int64, UInt64))}[book] as touch,
        touch.1 as venue,
        touch.2 as symbol,
        toDateTime(touch.3, 'UTC') as block,
        fromUnixTimestamp64Micro(touch.4, 'UTC') as changed_from,
        touch.5 as read_from
),
diffs as (
    select
        book,
        first_update_id,
        last_update_id,
        event_time,
        changed_from
    from (
        select
            venue,
            symbol,
            arrayJoin([
                toStartOfHour(event_time) - toIntervalHour(1), toStartOfHour(event_time), toStartOfHour(event_time) + toIntervalHour(1)
            ]) as block,
            first_update_id,
            last_update_id,
            event_time
        from silver_depth_diffs final
        where (venue, symbol) in {names:Array(Tuple(String, String))}
            and event_time >= {read_from:DateTime64(6, 'UTC')} and event_time < {read_to:DateTime64(6, 'UTC')}
    ) as near
    inner join touched using (venue, symbol, block)
    where last_update_id >= read_from
),
followed as (
    select
        *,
        row_number() over ids = 1 as is_first,
        not is_first and first_update_id > lagInFrame(last_update_id) over ids + 1 as is_hole,
        leadInFrame(first_update_id, 1, 0) over ids as next_first_id,
        leadInFrame(event_time, 1, event_time) over ids as next_time,
        leadInFrame(last_update_id, 1, last_update_id) over ids as next_id,
        minIf(last_update_id, event_time >= changed_from) over ids as changed_id
    from diffs
    window ids as (partition by book order by last_update_id rows between unbounded preceding and unbounded following)
),
runs as (
    select
        *,
        max(if(is_first or is_hole, first_update_id, 0)) over (
            partition by book order by last_update_id rows between unbounded preceding and current row
        ) as run_first_id,
        next_first_id > 0 and next_first_id <= last_update_id + 1 as is_followed,
        toUnixTimestamp(event_time) as first_second,
        if(is_followed, greatest(toUnixTimestamp(next_time), first_second), first_second) as end_second
    from followed
),
snapshots as (
    select distinct
        book,
        last_update_id as snapshot_id
    from (
        select
            venue,
            symbol,
            arrayJoin([
                toStartOfHour(receipt_time) - toIntervalHour(1), toStartOfHour(receipt_time), toStartOfHour(receipt_time) + toIntervalHour(1)
            ]) as block,
            last_update_id
        from silver_depth_snapshots final
        where (venue, symbol) in {names:Array(Tuple(String, String))}
            and receipt_time >= {hours_from:DateTime64(6, 'UTC')} and receipt_time < {read_to:DateTime64(6, 'UTC')}
    ) as near
    inner join touched using (venue, symbol, block)
    where last_update_id >= read_from
),
standing as (
    select
        book,
        venue,
        symbol,
        snapshot_id,
        last_update_id,
        greatest(first_second, toUnixTimestamp(block)) as from_second,
        least(end_second, toUnixTimestamp(block) + 3600) as to_second,
        next_id >= changed_id and to_second > from_second as is_wanted
    from runs
    inner join (select book, venue, symbol, block from touched) as touched using (book)
    asof inner join snapshots on runs.book = snapshots.book and runs.last_update_id >= snapshots.snapshot_id
    where snapshot_id + 1 >= run_first_id
),
places as (
    select
        *,
        sum(toInt64(is_wanted)) over (
            partition by book, snapshot_id order by last_update_id rows between unbounded preceding and current row
        ) - toInt64(is_wanted) as place,
        sum(toInt64(is_wanted)) over (partition by book, snapshot_id) as all_places
    from standing
),
standing_on as (
    select
        levels.*,
        book,
        all_places
    from (
        select
            venue,
            symbol,
            last_update_id as snapshot_id,
            bids,
            asks
        from silver_depth_snapshots final
        where (venue, symbol) in {names:Array(Tuple(String, String))}
            and last_update_id >= (select min(read_from) from touched)
            and receipt_time >= {hours_from:DateTime64(6, 'UTC')} and receipt_time < {read_to:DateTime64(6, 'UTC')}
    ) as levels
    inner join (
        select distinct
            book,
            venue,
            symbol,
            snapshot_id,
            all_places
        from places
        where all_places > 0
    ) as segments using (venue, symbol, snapshot_id)
),
changes as (
    select
        book,
        snapshot_id,
        all_places,
        place,
        last_update_id,
        is_bid,
        level.price as price,
        level.quantity as quantity
    from (
        select
            book,
            snapshot_id,
            all_places,
            place,
            last_update_id,
            bids,
            asks
        from (
            select
                venue,
                symbol,
                last_update_id,
                bids,
                asks
            from silver_depth_diffs final
            where (venue, symbol) in {names:Array(Tuple(String, String))}
                and event_time >= {read_from:DateTime64(6, 'UTC')} and event_time < {read_to:DateTime64(6, 'UTC')}
        ) as levels
        inner join places using (venue, symbol, last_update_id)
        where place < all_places and last_update_id > snapshot_id
        union all
        select
            book,
            snapshot_id,
            all_places,
            toInt64(0) as place,
            snapshot_id as last_update_id,
            bids,
            asks
        from standing_on
    )
    array join
        arrayConcat(bids, asks) as level,
        arrayConcat(arrayWithConstant(length(bids), true), arrayWithConstant(length(asks), false)) as is_bid
),
spans as (
    select
        book,
        snapshot_id,
        is_bid,
        price,
        argMax(changes.quantity, last_update_id) as quantity,
        place,
        leadInFrame(place, 1, any(all_places)) over price_level as end_place,
        min(place) over price_level = 0 and min(quantity) over price_level > 0 as is_always_there
    from changes
    group by book, snapshot_id, is_bid, price, place
    window price_level as (
        partition by book, snapshot_id, is_bid, price order by place
        rows between unbounded preceding and unbounded following
    )
),
bounds as (
    select
        *,
        maxIf(price, is_bid and is_always_there) over (partition by book, snapshot_id) as lowest_best_bid,
        minIf(price, not is_bid and is_always_there) over (partition by book, snapshot_id) as highest_best_ask
    from spans
),
books as (
    select
        book,
        snapshot_id,
        arrayJoin(range(place, end_place)) as place,
        groupArrayIf((price, quantity), is_bid) as bids,
        groupArrayIf((price, quantity), not is_bid) as asks,
        arrayReduce('max', bids) as best_bid,
        arrayReduce('min', asks) as best_ask,
        toDecimal256(best_bid.1, 18) + best_ask.1 as double_middle,
        toDecimal128(ceil(double_middle * toDecimal256('0.4995', 4), 18), 18) as bid_limit_10bps,
        toDecimal128(floor(double_middle * toDecimal256('0.5005', 4), 18), 18) as ask_limit_10bps,
        toDecimal128(ceil(double_middle * toDecimal256('0.4975', 4), 18), 18) as bid_limit_50bps,
        toDecimal128(floor(double_middle * toDecimal256('0.5025', 4), 18), 18) as ask_limit_50bps,
        toDecimal128(ceil(double_middle * toDecimal256('0.4950', 4), 18), 18) as bid_limit_100bps,
        toDecimal128(floor(double_middle * toDecimal256('0.5050', 4), 18), 18) as ask_limit_100bps
    from bounds
    where quantity > 0 and end_place > place and multiIf(
        is_bid, toDecimal256(price, 18) * 100 >= toDecimal256(lowest_best_bid, 18) * 99,
        highest_best_ask > 0, toDecimal256(price, 18) * 100 <= toDecimal256(highest_best_ask, 18) * 101,
        true
    )
    group by book, snapshot_id, place
),
depths as (
    select
        book,
        snapshot_id,
        place,
        notEmpty(bids) as has_bids,
        notEmpty(asks) as has_asks,
        best_bid,
        best_ask,
        arraySum(bid -> if(bid.1 >= bid_limit_10bps, toDecimal256(bid.2, 18), 0), bids) as bid_sum_10bps,
        arraySum(ask -> if(ask.1 <= ask_limit_10bps, toDecimal256(ask.2, 18), 0), asks) as ask_sum_10bps,
        arraySum(bid -> if(bid.1 >= bid_limit_50bps, toDecimal256(bid.2, 18), 0), bids) as bid_sum_50bps,
        arraySum(ask -> if(ask.1 <= ask_limit_50bps, toDecimal256(ask.2, 18), 0), asks) as ask_sum_50bps,
        arraySum(bid -> if(bid.1 >= bid_limit_100bps, toDecimal256(bid.2, 18), 0), bids) as bid_sum_100bps,
        arraySum(ask -> if(ask.1 <= ask_limit_100bps, toDecimal256(ask.2, 18), 0), asks) as ask_sum_100bps
    from books
),
reaches as (
    select
        venue,
        symbol,
        last_update_id as snapshot_id,
        if(empty(bids), null, arrayMin(bids.price)) as bid_reach_price,
        if(empty(asks), null, arrayMax(asks.price)) as ask_reach_price
    from silver_depth_snapshots final
    where (venue, symbol) in {names:Array(Tuple(String, String))}
        and last_update_id >= (select min(read_from) from touched)
        and receipt_time >= {hours_from:DateTime64(6, 'UTC')} and receipt_time < {read_to:DateTime64(6, 'UTC')}
)
select
    venue,
    symbol,
    toDateTime64(arrayJoin(range(from_second, to_second)), 6, 'UTC') as open_time,
    last_update_id,
    if(has_bids, best_bid.1, null) as best_bid_price,
    if(has_bids, best_bid.2, null) as best_bid_quantity,
    if(has_asks, best_ask.1, null) as best_ask_price,
    if(has_asks, best_ask.2, null) as best_ask_quantity,
    if(isDecimalOverflow(bid_sum_10bps, 38), null, accurateCastOrNull(bid_sum_10bps, 'Decimal(38, 18)')) as bid_depth_10bps,
    if(isDecimalOverflow(ask_sum_10bps, 38), null, accurateCastOrNull(ask_sum_10bps, 'Decimal(38, 18)')) as ask_depth_10bps,
    if(isDecimalOverflow(bid_sum_50bps, 38), null, accurateCastOrNull(bid_sum_50bps, 'Decimal(38, 18)')) as bid_depth_50bps,
    if(isDecimalOverflow(ask_sum_50bps, 38), null, accurateCastOrNull(ask_sum_50bps, 'Decimal(38, 18)')) as ask_depth_50bps,
    if(isDecimalOverflow(bid_sum_100bps, 38), null, accurateCastOrNull(bid_sum_100bps, 'Decimal(38, 18)')) as bid_depth_100bps,
    if(isDecimalOverflow(ask_sum_100bps, 38), null, accurateCastOrNull(ask_sum_100bps, 'Decimal(38, 18)')) as ask_depth_100bps,
    bid_reach_price,
    ask_reach_price,
    {build_version:UInt64} as build_version
from depths
inner join (
    select
        book,
        venue,
        symbol,
        snapshot_id,
        place,
        last_update_id,
        from_second,
        to_second
    from places
    where is_wanted
) as owners using (book, snapshot_id, place)
inner join reaches using (venue, symbol, snapshot_id)
settings use_skip_indexes_if_final = 1
