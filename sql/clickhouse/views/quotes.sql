-- Grain: one symbol and second in which a best bid or ask came. Natural key: venue, symbol, open_time. A view: exact at any moment.
-- A second without a row brought no change: the row before it still holds, if the rows beside it are complete.
-- microprice: best prices weighted by the quantity on the other side. Null where a side is empty.
-- is_complete: no gap of book_tickers touches the second, and it is neither the first nor the last one that was recorded.
create or replace view gold_quotes_1s
as
with
    gaps as (
        select
            venue,
            symbol,
            groupArray((started_at, ifNull(ended_at, started_at))) as spans
        from stream_events
        where event = 'gap' and channel = 'book_tickers'
        group by venue, symbol
    ),
    recorded as (
        select
            venue,
            symbol,
            min(open_time) as first_time,
            max(open_time) as last_time
        from stored_quotes final
        where quotes > 0
        group by venue, symbol
    )
select
    venue,
    symbol,
    open_time,
    update_id,
    toDecimal256(stored.bid_price, 18) as bid_price,
    toDecimal256(stored.bid_quantity, 18) as bid_quantity,
    toDecimal256(stored.ask_price, 18) as ask_price,
    toDecimal256(stored.ask_quantity, 18) as ask_quantity,
    if(bid_price > 0 and ask_price > 0, divideDecimal(bid_price + ask_price, toDecimal256('2', 0), 18), null) as mid,
    if(bid_price > 0 and ask_price > 0, ask_price - bid_price, null) as spread,
    toFloat64(spread) / toFloat64(mid) * 1e4 as spread_bps,
    if(
        bid_price > 0 and ask_price > 0 and bid_quantity + ask_quantity > 0,
        (toFloat64(bid_price) * toFloat64(ask_quantity) + toFloat64(ask_price) * toFloat64(bid_quantity))
            / (toFloat64(bid_quantity) + toFloat64(ask_quantity)),
        null
    ) as microprice,
    quotes,
    toBool(open_time > first_time and open_time < last_time and not arrayExists(
        span -> span.1 < open_time + toIntervalSecond(1) and span.2 >= open_time, spans
    )) as is_complete
from (select * from stored_quotes final where quotes > 0) as stored
inner join recorded using (venue, symbol)
left join gaps using (venue, symbol)
settings do_not_merge_across_partitions_select_final = 1
comment 'Last best bid and ask of every second with its middle, spread, microprice and number of quotes';

-- Grain: one trade. Natural key: venue, symbol, trade_id. A parameterised view, computed when asked:
--   select * from gold_effective_spread(venue = 'binance', symbol = 'BTCUSDT', since = '2024-08-09', until = '2024-08-10')
-- effective_spread: 2 * |price - mid| / mid, with the mid of the last best bid and ask that was received before the trade was.
-- Of best prices that were received at one instant the last one counts; those of the trade's own instant do not.
-- Both are compared by our clock: Binance spot sends no time with the best prices. Null: no best prices of both sides in the ten
-- minutes before the trade, or the trade was received more than ten seconds after it was made (healed over REST).
-- is_complete: no gap of book_tickers lies between the two.
create or replace view gold_effective_spread
as
with
    deals as (
        select
            venue,
            symbol,
            trade_id,
            price,
            quantity,
            is_buyer_maker,
            trade_time,
            receipt_time
        from silver_trades final
        where venue = {venue:String} and symbol = {symbol:String}
            and trade_time >= {since:DateTime64(6, 'UTC')} and trade_time < {until:DateTime64(6, 'UTC')}
    ),
    quotes as (
        select
            symbol,
            receipt_time,
            argMax((update_id, toDecimal256(bid_price, 18), toDecimal256(ask_price, 18)), update_id) as best
        from silver_book_tickers final
        where venue = {venue:String} and symbol = {symbol:String} and bid_price > 0 and ask_price > 0
            and receipt_time >= (select min(receipt_time) from deals) - toIntervalMinute(10)
            and receipt_time < (select max(receipt_time) from deals)
        group by symbol, receipt_time
    ),
    gaps as (
        select groupArray((started_at, ifNull(ended_at, started_at))) as spans
        from stream_events
        where venue = {venue:String} and symbol = {symbol:String} and event = 'gap' and channel = 'book_tickers'
    )
select
    deal.venue as venue,
    deal.symbol as symbol,
    deal.trade_id as trade_id,
    toDecimal256(deal.price, 18) as price,
    toDecimal256(deal.quantity, 18) as quantity,
    deal.is_buyer_maker as is_buyer_maker,
    deal.trade_time as trade_time,
    deal.receipt_time as receipt_time,
    toBool(best.1 > 0
        and quote.receipt_time >= deal.receipt_time - toIntervalMinute(10)
        and deal.receipt_time < deal.trade_time + toIntervalSecond(10)) as has_quote,
    if(has_quote, best.1, null) as quote_update_id,
    if(has_quote, quote.receipt_time, null) as quote_receipt_time,
    if(has_quote, divideDecimal(best.2 + best.3, toDecimal256('2', 0), 18), null) as mid,
    if(
        has_quote,
        2 * toFloat64(abs(2 * toDecimal256(deal.price, 18) - best.2 - best.3)) / toFloat64(best.2 + best.3),
        null
    ) as effective_spread,
    toBool(has_quote and not arrayExists(
        span -> span.1 < deal.receipt_time and span.2 >= quote.receipt_time, (select spans from gaps)
    )) as is_complete
from deals as deal
asof left join quotes as quote on deal.symbol = quote.symbol and deal.receipt_time > quote.receipt_time
comment 'Effective spread of every trade against the best prices before it: parameters venue, symbol, since, until';
