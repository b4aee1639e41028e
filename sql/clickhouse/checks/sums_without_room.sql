-- Offends: a row of gold in which a sum is null because it has more digits than storage has: 38, 18 of them decimals.
-- value: how many of its sums. No parameters.
select
    venue,
    symbol,
    open_time as at,
    toFloat64(length(sums)) as value,
    format('{}: {} null, more digits than Decimal(38, 18) has', grain, arrayStringConcat(sums, ', ')) as detail
from (
    select
        venue,
        symbol,
        open_time,
        concat('gold_ohlcv_', interval) as grain,
        arrayFilter(name -> name != '', [
            if(volume is null, 'volume', ''),
            if(quote_volume is null, 'quote_volume', ''),
            if(trade_count is null, 'trade_count', ''),
            if(taker_buy_volume is null, 'taker_buy_volume', ''),
            if(taker_buy_quote_volume is null, 'taker_buy_quote_volume', '')
        ]) as sums
    from stored_ohlcv final
    where open_time >= {since:DateTime64(6, 'UTC')} and open_time < {until:DateTime64(6, 'UTC')}
    union all
    select
        venue,
        symbol,
        open_time,
        'gold_book_top_1s' as grain,
        arrayFilter(name -> name != '', [
            if(bid_depth_10bps is null, 'bid_depth_10bps', ''),
            if(ask_depth_10bps is null, 'ask_depth_10bps', ''),
            if(bid_depth_50bps is null, 'bid_depth_50bps', ''),
            if(ask_depth_50bps is null, 'ask_depth_50bps', ''),
            if(bid_depth_100bps is null, 'bid_depth_100bps', ''),
            if(ask_depth_100bps is null, 'ask_depth_100bps', '')
        ]) as sums
    from stored_book_top final
    where open_time >= {since:DateTime64(6, 'UTC')} and open_time < {until:DateTime64(6, 'UTC')}
)
where notEmpty(sums)
