-- Grain: one symbol and 1s. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_ohlcv_1s
as
select * except (interval)
from gold_ohlcv
where interval = '1s'
comment 'OHLCV of 1s with where it comes from and whether it is complete; times without a trade have no row unless a kline says so'
