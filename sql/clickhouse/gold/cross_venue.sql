-- Fills stored_cross_venue: the spread of a market at two venues and which of them leads, by books or by trades (basis).
-- Grain: basis, market, pair of symbols, minute. Rerun is safe: a row is a function of FINAL stored_book_top or stored_ohlcv of 1s in
-- that minute at both venues; it replaces itself. By trades, a second without one has the price of the one before, up to the
-- last trade of the minute; by books, only seconds in which both are proven count.
-- Lead: the shift of -5 to 5 seconds at which the one-second returns of a and b correlate best; the smallest shift of equals,
-- nothing where fewer than 20 returns overlap or one side does not move.
-- Pairs: symbols of one market (gold_symbol_map) at two venues that are of one kind and delivered at one time, and a contract
-- beside spot.
-- Touched: the minutes of what this build made, at either venue.
insert into stored_cross_venue
with touched as (
    select distinct names.market as market, toStartOfMinute(made.open_time) as minute
    from (
        select venue, symbol, open_time from stored_book_top
        where {basis:String} = 'book' and build_version = {build_version:UInt64}
        union all
        select venue, symbol, open_time from stored_ohlcv
        where {basis:String} = 'trades' and interval = '1s' and build_version = {build_version:UInt64}
        union all
        select venue, symbol, toDateTime64(minute, 6, 'UTC') from ops_lost_minutes
        where {basis:String} = 'trades' and dataset in ('trades', 'klines')
            and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
        union all
        select venue, symbol, toDateTime64(arrayJoin(arrayMap(n -> minute + toIntervalMinute(n) - toIntervalMinute(1), range(toUInt32(dateDiff('minute', minute, toStartOfHour(minute) + toIntervalHour(2)) + 1)))), 6, 'UTC') from ops_lost_minutes
        where {basis:String} = 'book' and dataset in ('depth_diffs', 'depth_snapshots')
            and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    ) as made
    inner join (select venue, symbol, market from gold_symbol_map) as names using (venue, symbol)
),
names as (
    select
        venue,
        symbol,
        market,
        kind,
        ifNull(delivery_time, toDateTime(0, 'UTC')) as delivery
    from gold_symbol_map
    where market in (select market from touched)
),
prices as (
    select
        venue,
        symbol,
        open_time,
        assumeNotNull(toDecimal128((toDecimal256(best_bid_price, 18) + toDecimal256(best_ask_price, 18)) / toDecimal256(2, 0), 18)) as price
    from stored_book_top final
    where {basis:String} = 'book' and (venue, symbol) in (select venue, symbol from names)
        and best_bid_price is not null and best_ask_price is not null
        and open_time >= (select min(minute) from touched)
        and toStartOfMinute(open_time) in (select minute from touched)
    union all
    select
        venue,
        symbol,
        open_time,
        close as price
    from stored_ohlcv final
    where {basis:String} = 'trades' and interval = '1s' and (venue, symbol) in (select venue, symbol from names)
        and open_time >= (select min(minute) from touched)
        and toStartOfMinute(open_time) in (select minute from touched)
),
minutes as (
    select
        market,
        venue,
        symbol,
        kind,
        delivery,
        toStartOfMinute(open_time) as minute,
        mapFromArrays(groupArray(toSecond(open_time)), groupArray(price)) as by_second,
        arrayMap(second -> by_second[toUInt8(second)], range(60)) as present,
        if({basis:String} = 'book', present, arrayFill(price -> price != 0, present)) as filled,
        max(toSecond(open_time)) as last_second,
        arrayMap((price, second) -> if(second > last_second, 0, toFloat64(price)), filled, range(60)) as numbers,
        argMax(price, open_time) as last_price
    from prices
    inner join names using (venue, symbol)
    where (market, toStartOfMinute(open_time)) in (select market, minute from touched)
    group by market, venue, symbol, kind, delivery, minute
),
pairs as (
    select
        first_minutes.market as market,
        first_minutes.venue as venue_a,
        first_minutes.symbol as symbol_a,
        second_minutes.venue as venue_b,
        second_minutes.symbol as symbol_b,
        first_minutes.minute as minute,
        first_minutes.last_price as last_price_a,
        second_minutes.last_price as last_price_b,
        first_minutes.numbers as numbers_a,
        second_minutes.numbers as numbers_b
    from minutes as first_minutes
    inner join minutes as second_minutes on first_minutes.market = second_minutes.market and first_minutes.minute = second_minutes.minute
    where first_minutes.venue < second_minutes.venue
        and (
            first_minutes.kind = second_minutes.kind and first_minutes.delivery = second_minutes.delivery
            or first_minutes.kind = 'spot' or second_minutes.kind = 'spot'
        )
),
compared as (
    select
        *,
        arrayFilter((x, p, q) -> p > 0 and q > 0, arrayMap((p, q) -> (q - p) / ((p + q) / 2) * 1e4, numbers_a, numbers_b), numbers_a, numbers_b) as spreads,
        arrayMap(at -> if(numbers_a[at - 1] > 0 and numbers_a[at] > 0, log(numbers_a[at] / numbers_a[at - 1]), nan), range(2, 61)) as returns_a,
        arrayMap(at -> if(numbers_b[at - 1] > 0 and numbers_b[at] > 0, log(numbers_b[at] / numbers_b[at - 1]), nan), range(2, 61)) as returns_b,
        arrayMap(
            shift -> (
                shift,
                arrayFilter(
                    pair -> not isNaN(pair.1) and not isNaN(pair.2),
                    arrayMap(at -> (returns_a[at], returns_b[at + shift]), range(greatest(1, 1 - shift), least(60, 60 - shift)))
                )
            ),
            range(-5, 6)
        ) as overlaps,
        arrayMap(
            overlap -> (
                if(length(overlap.2) < 20, nan, arrayReduce('corr', overlap.2.1, overlap.2.2)),
                -abs(overlap.1),
                overlap.1
            ),
            overlaps
        ) as correlations,
        arrayReverseSort(arrayFilter(found -> isFinite(found.1), correlations)) as best
    from pairs
)
select
    {basis:String} as basis,
    market,
    venue_a,
    symbol_a,
    venue_b,
    symbol_b,
    toDateTime64(minute, 6, 'UTC') as open_time,
    length(spreads) as common_seconds,
    last_price_a,
    last_price_b,
    arrayAvg(spreads) as average_spread_bps,
    arrayMin(spreads) as lowest_spread_bps,
    arrayMax(spreads) as highest_spread_bps,
    if(empty(best), null, best[1].3) as lead_seconds,
    if(empty(best), null, best[1].1) as lead_correlation,
    {build_version:UInt64} as build_version
from compared
where notEmpty(spreads)
settings do_not_merge_across_partitions_select_final = 1
