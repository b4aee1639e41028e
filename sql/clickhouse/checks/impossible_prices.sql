-- Offends: a trade without a price or quantity, or far from the middle trade of its hour; a kline whose values contradict each other.
-- value: the price, or the close. Parameter: max_ratio (to the hour's median, either way).
select
    venue,
    symbol,
    trade_time as at,
    toFloat64(price) as value,
    format('trade {}: price {}, quantity {}, the hour''s median {}', toString(trade_id), toString(price), toString(quantity), toString(median)) as detail
from (
    select
        *,
        quantileExact(0.5)(toFloat64(price)) over (partition by venue, symbol, toStartOfHour(trade_time)) as median
    from trades
    where trade_time >= {since:DateTime64(6, 'UTC')} and trade_time < {until:DateTime64(6, 'UTC')}
)
where price <= 0 or quantity <= 0 or value > median * {max_ratio:Float64} or value * {max_ratio:Float64} < median
union all
select
    venue,
    symbol,
    open_time,
    toFloat64(close),
    format(
        'kline {}: open {}, high {}, low {}, close {}, volume {}',
        interval, toString(open), toString(high), toString(low), toString(close), toString(volume)
    )
from klines
where open_time >= {since:DateTime64(6, 'UTC')} and open_time < {until:DateTime64(6, 'UTC')}
    and (low <= 0 or volume < 0 or high < greatest(open, close) or low > least(open, close) or taker_buy_volume > volume)
