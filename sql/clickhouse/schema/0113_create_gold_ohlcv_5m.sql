-- Grain: one symbol and 5m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_ohlcv_5m
as
select * except (interval)
from gold_ohlcv
where interval = '5m'
comment 'OHLCV of 5m with where it comes from and whether it is complete; times without a trade have no row unless a kline says so'
