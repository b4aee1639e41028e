-- Offends: best prices of the venue that our book does not have at the same update id. A capture compares its running book
-- with those that it receives (a `mismatch` outside of the channel depth); the books of gold_book_top_1s are compared here.
-- value: by how much the best bids and the best asks differ together, in the quote asset; 0 where only quantities do. No parameters.
-- Ids that are the message's own time (KuCoin) are of no book.
select
    venue,
    symbol,
    at,
    value,
    detail
from (
    select
        venue,
        symbol,
        started_at as at,
        0. as value,
        format('running book at {}: {}', toString(ifNull(to_update_id, 0)), detail) as detail
    from stream_events
    where event = 'mismatch' and channel != 'depth'
        and started_at >= {since:DateTime64(6, 'UTC')} and started_at < {until:DateTime64(6, 'UTC')}
    union all
    select
        venue,
        symbol,
        receipt_time as at,
        abs(toFloat64(bid_price - ifNull(best_bid_price, 0))) + abs(toFloat64(ask_price - ifNull(best_ask_price, 0))) as value,
        format(
            'rebuilt book at {}: bid {} at {}, ask {} at {}; venue: bid {} at {}, ask {} at {}',
            toString(update_id),
            toString(ifNull(best_bid_quantity, 0)),
            toString(ifNull(best_bid_price, 0)),
            toString(ifNull(best_ask_quantity, 0)),
            toString(ifNull(best_ask_price, 0)),
            toString(bid_quantity),
            toString(bid_price),
            toString(ask_quantity),
            toString(ask_price)
        ) as detail
    from book_tickers
    inner join (
        select
            venue,
            symbol,
            last_update_id as update_id,
            best_bid_price,
            best_bid_quantity,
            best_ask_price,
            best_ask_quantity
        from gold_book_top_1s
        where is_within_reach
            and open_time >= {since:DateTime64(6, 'UTC')} - toIntervalHour(1)
            and open_time < {until:DateTime64(6, 'UTC')} + toIntervalHour(1)
        limit 1 by venue, symbol, update_id
    ) as books using (venue, symbol, update_id)
    where receipt_time >= {since:DateTime64(6, 'UTC')} and receipt_time < {until:DateTime64(6, 'UTC')}
        and (event_time is null or update_id != toUnixTimestamp64Milli(assumeNotNull(event_time)))
        and (bid_price, bid_quantity, ask_price, ask_quantity) != (
            ifNull(best_bid_price, 0), ifNull(best_bid_quantity, 0), ifNull(best_ask_price, 0), ifNull(best_ask_quantity, 0)
        )
)
