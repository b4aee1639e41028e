-- Grain: one symbol and hour. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_price_1h
as
select
    venue,
    symbol,
    toDateTime64(toStartOfHour(minute_time), 6, 'UTC') as open_time,
    avg(toFloat64(close)) as average_price,
    quantileExactInclusive(0.5)(toFloat64(close)) as median_price,
    count() as minutes,
    minutes = 60 and min(is_complete) as is_complete
from (
    select venue, symbol, open_time as minute_time, close, is_complete
    from gold_ohlcv_1m
)
group by venue, symbol, open_time
comment 'The price per hour, made of the closes of its minutes: average, median, and how many of the 60 minutes there are'
