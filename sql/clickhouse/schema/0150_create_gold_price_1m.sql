-- Grain: one symbol and minute with trades. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_price_1m
as
select
    venue,
    symbol,
    toDateTime64(toStartOfMinute(trade_time), 6, 'UTC') as open_time,
    avg(toFloat64(price)) as average_price,
    sum(toFloat64(price) * toFloat64(quantity)) / sum(toFloat64(quantity)) as volume_weighted_price,
    quantileExactInclusive(0.5)(toFloat64(price)) as median_price,
    count() as trade_count
from trades
group by venue, symbol, open_time
comment 'The price per minute, made of every trade: average by trade, average by volume, median'
