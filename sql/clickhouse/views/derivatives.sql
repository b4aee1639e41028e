-- Grain: one settled funding of a contract. Natural key: venue, symbol, funding_time. A view: exact at any moment.
-- funding_hours: the period that it settles, from the times of settlements themselves. Null: the one before is not there, so that the
-- time is longer than 8 hours, the longest period there is, or longer than both periods beside it.
-- annualised_funding: of a year of 365 days, without compounding (0.1 is 10 %); positive: longs pay shorts.
create or replace view gold_funding
as
select
    venue,
    symbol,
    funding_time,
    funding_rate,
    mark_price,
    if(hours between 1 and 8 and hours <= longest_beside, hours, null) as funding_hours,
    toFloat64(funding_rate) * 8760 / funding_hours as annualised_funding
from (
    select
        *,
        lagInFrame(hours) over settlements as hours_before,
        leadInFrame(hours) over settlements as hours_after,
        arrayFilter(beside -> beside between 1 and 8, [hours_before, hours_after]) as periods_beside,
        if(empty(periods_beside), 8, arrayMax(periods_beside)) as longest_beside
    from (
        select
            *,
            intDiv(dateDiff('second', lagInFrame(funding_time) over settlements, funding_time) + 1800, 3600) as hours
        from funding_rates
        window settlements as (partition by venue, symbol order by funding_time rows between unbounded preceding and current row)
    ) as since_the_one_before
    window settlements as (partition by venue, symbol order by funding_time rows between unbounded preceding and unbounded following)
) as settled
comment 'Every settled funding rate with the hours it is for, and what it is in a year';

-- Grain: one minute of a contract in which a mark price came. Natural key: venue, symbol, open_time. A parameterised view:
--   select * from gold_carry_1m(venue = 'binance-usdm', symbol = 'BTCUSDT', since = '2024-08-09', until = '2024-08-10')
-- Values are the last of the minute, by the time of the venue. premium_bps: the mark price above the index of spot prices.
-- funding_rate: of the period that runs, as the venue estimates it. funding_hours: from the settlement before, recorded or named
-- as the next one earlier, to the next. Where that is longer than the usual period, settlements are missing: then it is the usual one,
-- the most frequent of the range and the week before, unless the next settlement was named longer before than that. Null: neither
-- is known, and annualised_funding takes 8.
-- mark_prices: how many came; the venue sends one each second.
create or replace view gold_carry_1m
as
with
    marks as (
        select
            toDateTime64(toStartOfMinute(event_time), 6, 'UTC') as minute,
            argMax((mark_price, index_price, funding_rate, next_funding_time), event_time) as last,
            count() as mark_prices
        from silver_mark_prices final
        where venue = {venue:String} and symbol = {symbol:String}
            and event_time >= {since:DateTime64(6, 'UTC')} and event_time < {until:DateTime64(6, 'UTC')}
        group by minute
    ),
    named as (
        select
            toStartOfHour(instant + toIntervalMinute(30)) as settlement,
            intDiv(dateDiff('second', min(known_at), settlement) + 3540, 3600) as hours
        from (
            select funding_time as instant, funding_time as known_at
            from silver_funding_rates
            where venue = {venue:String} and symbol = {symbol:String}
                and funding_time >= {since:DateTime64(6, 'UTC')} - toIntervalWeek(1) and funding_time < {until:DateTime64(6, 'UTC')}
            union all
            select assumeNotNull(next_funding_time), event_time
            from silver_mark_prices
            where venue = {venue:String} and symbol = {symbol:String} and next_funding_time is not null
                and event_time >= {since:DateTime64(6, 'UTC')} - toIntervalDay(1) and event_time < {until:DateTime64(6, 'UTC')}
        )
        group by settlement
    ),
    periods as (
        select
            arraySort(groupArray((settlement, hours))) as settlements,
            arrayMap((one, two) -> dateDiff('hour', one.1, two.1), arrayPopBack(settlements), arrayPopFront(settlements)) as distances,
            arraySort(one -> (-countEqual(distances, one), one), arrayFilter(one -> one <= 8, arrayDistinct(distances)))[1] as usual
        from named
    )
select
    {venue:String} as venue,
    {symbol:String} as symbol,
    minute as open_time,
    toDecimal256(last.1, 18) as mark_price,
    toDecimal256(last.2, 18) as index_price,
    (toFloat64(mark_price) / nullIf(toFloat64(index_price), 0) - 1) * 1e4 as premium_bps,
    toDecimal256(last.3, 18) as funding_rate,
    last.4 as next_funding_time,
    multiIf(
        isNull(next_funding_time), null,
        distance <= 8 and (usual = 0 or distance <= usual or named_hours > usual), distance,
        usual >= named_hours, usual,
        null
    ) as funding_hours,
    toFloat64(funding_rate) * 8760 / ifNull(funding_hours, 8) as annualised_funding,
    mark_prices
from (
    select
        minute,
        last,
        mark_prices,
        toStartOfHour(ifNull(last.4, toDateTime64(0, 6, 'UTC')) + toIntervalMinute(30)) as settled_next,
        (select usual from periods) as usual,
        arrayFirst(one -> one.1 = settled_next, (select settlements from periods)).2 as named_hours,
        dateDiff('hour', arrayLast(one -> one.1 < settled_next, (select settlements from periods)).1, settled_next) as distance
    from marks
) as running
comment 'Mark price, premium, and running funding of a contract with what it is in a year, per minute: parameters venue, symbol, since, until';

-- Grain: one interval of a contract in which its open interest was counted. Natural key: venue, symbol, open_time. A parameterised
-- view:
--   select * from gold_open_interest(venue = 'binance-usdm', symbol = 'BTCUSDT', interval = '1h', since = '2024-08-09', until = '2024-08-10')
-- The last count of the interval, requested by a recorder or of the history of the venue, and the close of gold_ohlcv. Changes are against the
-- interval before, null where that one has no count or no close. open_interest_quote: worth in the quote asset at the close.
create or replace view gold_open_interest
as
with
    transform({interval:String}, ['1m', '5m', '15m', '30m', '1h', '4h', '1d'], [60, 300, 900, 1800, 3600, 14400, 86400], 0) as seconds,
    ifNull(
        (select any(contract_size) from contracts where venue = {venue:String} and symbol = {symbol:String}), toDecimal256(0, 18)
    ) as worth,
    counts as (
        select
            toDateTime64(intDiv(toUnixTimestamp(event_time), seconds) * seconds, 6, 'UTC') as open_time,
            argMax(toDecimal256(open_interest, 18), (event_time, period = '')) as counted
        from silver_open_interest final
        where venue = {venue:String} and symbol = {symbol:String}
            and throwIf(seconds = 0, 'interval: choose from 1m, 5m, 15m, 30m, 1h, 4h, 1d') = 0
            and event_time >= {since:DateTime64(6, 'UTC')} - toIntervalSecond(2 * seconds)
            and event_time < {until:DateTime64(6, 'UTC')}
        group by open_time
    ),
    candles as (
        select open_time, toNullable(close) as close
        from gold_ohlcv
        where interval = {interval:String} and venue = {venue:String} and symbol = {symbol:String}
            and open_time >= {since:DateTime64(6, 'UTC')} - toIntervalSecond(2 * seconds)
            and open_time < {until:DateTime64(6, 'UTC')}
    )
select
    {venue:String} as venue,
    {symbol:String} as symbol,
    open_time,
    counted as open_interest,
    if(is_next, counted - counted_before, null) as open_interest_change,
    toFloat64(open_interest_change) / nullIf(toFloat64(counted_before), 0) as open_interest_return,
    if(worth > 0, toDecimal256(counted * worth, 18), toDecimal256(counted * close, 18)) as open_interest_quote,
    close,
    if(is_next, close - close_before, null) as price_change,
    toFloat64(price_change) / nullIf(toFloat64(close_before), 0) as price_return
from (
    select
        open_time,
        counted,
        close,
        lagInFrame(counted) over ordered as counted_before,
        lagInFrame(close) over ordered as close_before,
        lagInFrame(open_time) over ordered = open_time - toIntervalSecond(seconds) as is_next
    from counts
    left join candles using (open_time)
    window ordered as (order by open_time rows between unbounded preceding and current row)
) as followed
where open_time >= {since:DateTime64(6, 'UTC')}
comment 'Open interest of a contract with its change and that of the price: parameters venue, symbol, interval, since, until';

-- Grain: one minute of a contract with a liquidation. Natural key: venue, symbol, open_time. A parameterised view:
--   select * from gold_liquidations_1m(venue = 'binance-usdm', symbol = 'BTCUSDT', since = '2024-08-09', until = '2024-08-10')
-- long_: positions that were sold, short_: positions that were bought back. Quantities are what was filled, as in liquidations; volumes are
-- in the quote asset, of COIN-M too. The venue sends the latest order of a second only: sums are at least these.
-- An order is sent again while it is filled, and has no id. Rows with equal side, kind, price and quantity are one order if they are of one
-- minute, or at most a minute apart while the order is not filled. It counts in the minute of its first row, each fill in its own minute.
create or replace view gold_liquidations_1m
as
with
    ifNull(
        (select any(contract_size) from contracts where venue = {venue:String} and symbol = {symbol:String}), toDecimal256(0, 18)
    ) as worth,
    states as (
        select
            trade_time,
            (side, order_type, time_in_force, price, quantity) as kind,
            toDecimal256(filled_quantity, 18) as filled,
            if(worth > 0, toDecimal256(filled * worth, 18), toDecimal256(filled * toDecimal256(average_price, 18), 18)) as volume,
            lagInFrame(trade_time) over ordered as time_before,
            lagInFrame(filled_quantity) over ordered as filled_before,
            toStartOfMinute(trade_time) != toStartOfMinute(time_before)
            and (filled_before >= quantity or trade_time > time_before + toIntervalMinute(1)) as is_new
        from silver_liquidations final
        where venue = {venue:String} and symbol = {symbol:String}
            and trade_time >= {since:DateTime64(6, 'UTC')} - toIntervalHour(1) and trade_time < {until:DateTime64(6, 'UTC')}
        window ordered as (
            partition by side, order_type, time_in_force, price, quantity order by trade_time, filled_quantity, average_price
            rows between unbounded preceding and current row
        )
    ),
    numbered as (
        select
            *,
            sum(is_new) over (
                partition by kind order by trade_time, filled, volume rows between unbounded preceding and current row
            ) as number
        from states
    ),
    fills as (
        select
            trade_time,
            kind.1 as side,
            is_new,
            max((filled, volume)) over (
                partition by kind, number order by trade_time, filled, volume rows between unbounded preceding and current row
            ) as reached,
            max((filled, volume)) over (
                partition by kind, number order by trade_time, filled, volume rows between unbounded preceding and 1 preceding
            ) as before
        from numbered
    )
select
    {venue:String} as venue,
    {symbol:String} as symbol,
    toDateTime64(toStartOfMinute(trade_time), 6, 'UTC') as open_time,
    countIf(side = 'sell' and is_new) as long_orders,
    sumIf(reached.1 - before.1, side = 'sell') as long_quantity,
    sumIf(reached.2 - before.2, side = 'sell') as long_quote_volume,
    countIf(side = 'buy' and is_new) as short_orders,
    sumIf(reached.1 - before.1, side = 'buy') as short_quantity,
    sumIf(reached.2 - before.2, side = 'buy') as short_quote_volume
from fills
where trade_time >= {since:DateTime64(6, 'UTC')}
group by open_time
comment 'Liquidated longs and shorts of a contract per minute: parameters venue, symbol, since, until';
