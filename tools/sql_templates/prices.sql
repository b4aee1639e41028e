-- Grain: one symbol and {word}. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_price_{interval}
as
select
    venue,
    symbol,
    toDateTime64({start}(minute_time), 6, 'UTC') as open_time,
    avg(toFloat64(close)) as average_price,
    quantileExactInclusive(0.5)(toFloat64(close)) as median_price,
    count() as minutes,
    minutes = {minutes} and min(is_complete) as is_complete
from (
    select venue, symbol, open_time as minute_time, close, is_complete
    from gold_ohlcv_1m
)
group by venue, symbol, open_time
comment 'The price per {word}, made of the closes of its minutes: average, median, and how many of the {minutes} minutes there are';
