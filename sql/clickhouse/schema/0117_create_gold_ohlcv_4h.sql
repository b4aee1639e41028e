-- Grain: one symbol and 4h. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_ohlcv_4h
as
select * except (interval)
from gold_ohlcv
where interval = '4h'
comment 'OHLCV of 4h with where it comes from and whether it is complete; times without a trade have no row unless a kline says so'
