-- Grain: one symbol and 15m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_ohlcv_15m
as
select * except (interval)
from gold_ohlcv
where interval = '15m'
comment 'OHLCV of 15m with where it comes from and whether it is complete; times without a trade have no row unless a kline says so'
