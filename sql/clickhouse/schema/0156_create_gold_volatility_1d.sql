-- Grain: one symbol and day. Natural key: venue, symbol, open_time. A view: exact at any moment.
-- Realised volatility: the root of the sum of squared log returns of five minutes (Andersen, Bollerslev 1998); annualised by
-- the root of 365, since the market never closes. A day with fewer than 288 returns is a lower bound: is_complete says so.
create view if not exists gold_volatility_1d
as
select
    venue,
    symbol,
    toDateTime64(toStartOfDay(return_time), 6, 'UTC') as open_time,
    sqrt(sum(log_return * log_return)) as realised_volatility,
    realised_volatility * sqrt(365) as annualised_volatility,
    count(log_return) as returns,
    returns = 288 and min(is_whole) as is_complete
from (
    select
        venue,
        symbol,
        open_time as return_time,
        is_complete as is_whole,
        toFloat64(close) as price,
        lagInFrame(price, 1, price) over series as price_before,
        lagInFrame(open_time) over series as time_before,
        if(dateDiff('second', time_before, open_time) = 300, log(price / price_before), null) as log_return
    from gold_ohlcv_5m
    window series as (partition by venue, symbol order by open_time rows between unbounded preceding and current row)
)
group by venue, symbol, open_time
comment 'Realised volatility of every day from five-minute returns'
