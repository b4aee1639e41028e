-- Offends: a book whose best bid is not below its best ask, rebuilt at the end of a second, in a snapshot, a ticker, or
-- among the best prices that the venue sends.
-- value: best bid less best ask, in the quote asset. No parameters.
select
    venue,
    symbol,
    at,
    toFloat64(bid - ask) as value,
    format('{}: best bid {}, best ask {}', origin, toString(bid), toString(ask)) as detail
from (
    select 'rebuilt book' as origin, venue, symbol, open_time as at, best_bid_price as bid, best_ask_price as ask
    from gold_book_top_1s
    where open_time >= {since:DateTime64(6, 'UTC')} and open_time < {until:DateTime64(6, 'UTC')}
    union all
    select 'snapshot', venue, symbol, receipt_time, arrayMax(bids.price), arrayMin(asks.price)
    from depth_snapshots
    where receipt_time >= {since:DateTime64(6, 'UTC')} and receipt_time < {until:DateTime64(6, 'UTC')}
        and notEmpty(bids) and notEmpty(asks)
    union all
    select 'ticker', venue, symbol, event_time, best_bid_price, best_ask_price
    from tickers
    where event_time >= {since:DateTime64(6, 'UTC')} and event_time < {until:DateTime64(6, 'UTC')}
    union all
    select 'best prices', venue, symbol, receipt_time, bid_price, ask_price
    from book_tickers
    where receipt_time >= {since:DateTime64(6, 'UTC')} and receipt_time < {until:DateTime64(6, 'UTC')}
        and bid_price > 0 and ask_price > 0
)
where bid >= ask
