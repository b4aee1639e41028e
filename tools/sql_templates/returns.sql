-- Grain: one row of gold_ohlcv_{interval}. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_returns_{interval}
as
select
    venue,
    symbol,
    open_time,
    price as close,
    if(dateDiff('second', time_before, open_time) = {seconds}, price / price_before - 1, null) as simple_return,
    if(dateDiff('second', time_before, open_time) = {seconds}, log(price / price_before), null) as log_return,
    is_complete and complete_before as is_complete
from (
    select
        venue,
        symbol,
        open_time,
        toFloat64(close) as price,
        is_complete,
        lagInFrame(price, 1, price) over series as price_before,
        lagInFrame(open_time) over series as time_before,
        lagInFrame(is_complete) over series as complete_before
    from gold_ohlcv_{interval}
    window series as (partition by venue, symbol order by open_time rows between unbounded preceding and current row)
) as priced
comment 'Returns from close to close; null where the {interval} before has no row';
