-- Grain: one symbol and {interval}. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_ohlcv_{interval}
as
select * except (interval)
from gold_ohlcv
where interval = '{interval}'
comment 'OHLCV of {interval} with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';
