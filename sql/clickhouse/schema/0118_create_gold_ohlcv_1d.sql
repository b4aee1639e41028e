-- Grain: one symbol and 1d. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_ohlcv_1d
as
select * except (interval)
from gold_ohlcv
where interval = '1d'
comment 'OHLCV of 1d with where it comes from and whether it is complete; times without a trade have no row unless a kline says so'
