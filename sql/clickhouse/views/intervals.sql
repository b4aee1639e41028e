-- Written by make sql: do not edit.

-- Grain: one symbol and 1s. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_ohlcv_1s
as
select * except (interval)
from gold_ohlcv
where interval = '1s'
comment 'OHLCV of 1s with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';

-- Grain: one symbol and 1m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_ohlcv_1m
as
select * except (interval)
from gold_ohlcv
where interval = '1m'
comment 'OHLCV of 1m with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';

-- Grain: one symbol and 5m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_ohlcv_5m
as
select * except (interval)
from gold_ohlcv
where interval = '5m'
comment 'OHLCV of 5m with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';

-- Grain: one symbol and 15m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_ohlcv_15m
as
select * except (interval)
from gold_ohlcv
where interval = '15m'
comment 'OHLCV of 15m with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';

-- Grain: one symbol and 30m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_ohlcv_30m
as
select * except (interval)
from gold_ohlcv
where interval = '30m'
comment 'OHLCV of 30m with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';

-- Grain: one symbol and 1h. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_ohlcv_1h
as
select * except (interval)
from gold_ohlcv
where interval = '1h'
comment 'OHLCV of 1h with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';

-- Grain: one symbol and 4h. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_ohlcv_4h
as
select * except (interval)
from gold_ohlcv
where interval = '4h'
comment 'OHLCV of 4h with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';

-- Grain: one symbol and 1d. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_ohlcv_1d
as
select * except (interval)
from gold_ohlcv
where interval = '1d'
comment 'OHLCV of 1d with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';

-- Grain: one symbol and 1m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_indicators_1m
as
select * except (interval, build_version)
from stored_indicators final
where interval = '1m'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on 1m closes; null while an indicator warms up';

-- Grain: one symbol and 5m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_indicators_5m
as
select * except (interval, build_version)
from stored_indicators final
where interval = '5m'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on 5m closes; null while an indicator warms up';

-- Grain: one symbol and 15m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_indicators_15m
as
select * except (interval, build_version)
from stored_indicators final
where interval = '15m'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on 15m closes; null while an indicator warms up';

-- Grain: one symbol and 30m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_indicators_30m
as
select * except (interval, build_version)
from stored_indicators final
where interval = '30m'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on 30m closes; null while an indicator warms up';

-- Grain: one symbol and 1h. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_indicators_1h
as
select * except (interval, build_version)
from stored_indicators final
where interval = '1h'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on 1h closes; null while an indicator warms up';

-- Grain: one symbol and 4h. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_indicators_4h
as
select * except (interval, build_version)
from stored_indicators final
where interval = '4h'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on 4h closes; null while an indicator warms up';

-- Grain: one symbol and 1d. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_indicators_1d
as
select * except (interval, build_version)
from stored_indicators final
where interval = '1d'
settings do_not_merge_across_partitions_select_final = 1
comment 'Indicators on 1d closes; null while an indicator warms up';

-- Grain: one symbol and hour. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_price_1h
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
comment 'The price per hour, made of the closes of its minutes: average, median, and how many of the 60 minutes there are';

-- Grain: one symbol and day. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_price_1d
as
select
    venue,
    symbol,
    toDateTime64(toStartOfDay(minute_time), 6, 'UTC') as open_time,
    avg(toFloat64(close)) as average_price,
    quantileExactInclusive(0.5)(toFloat64(close)) as median_price,
    count() as minutes,
    minutes = 1440 and min(is_complete) as is_complete
from (
    select venue, symbol, open_time as minute_time, close, is_complete
    from gold_ohlcv_1m
)
group by venue, symbol, open_time
comment 'The price per day, made of the closes of its minutes: average, median, and how many of the 1440 minutes there are';

-- Grain: one row of gold_ohlcv_1m. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_returns_1m
as
select
    venue,
    symbol,
    open_time,
    price as close,
    if(dateDiff('second', time_before, open_time) = 60, price / price_before - 1, null) as simple_return,
    if(dateDiff('second', time_before, open_time) = 60, log(price / price_before), null) as log_return,
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
    from gold_ohlcv_1m
    window series as (partition by venue, symbol order by open_time rows between unbounded preceding and current row)
) as priced
comment 'Returns from close to close; null where the 1m before has no row';

-- Grain: one row of gold_ohlcv_1h. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_returns_1h
as
select
    venue,
    symbol,
    open_time,
    price as close,
    if(dateDiff('second', time_before, open_time) = 3600, price / price_before - 1, null) as simple_return,
    if(dateDiff('second', time_before, open_time) = 3600, log(price / price_before), null) as log_return,
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
    from gold_ohlcv_1h
    window series as (partition by venue, symbol order by open_time rows between unbounded preceding and current row)
) as priced
comment 'Returns from close to close; null where the 1h before has no row';

-- Grain: one row of gold_ohlcv_1d. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_returns_1d
as
select
    venue,
    symbol,
    open_time,
    price as close,
    if(dateDiff('second', time_before, open_time) = 86400, price / price_before - 1, null) as simple_return,
    if(dateDiff('second', time_before, open_time) = 86400, log(price / price_before), null) as log_return,
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
    from gold_ohlcv_1d
    window series as (partition by venue, symbol order by open_time rows between unbounded preceding and current row)
) as priced
comment 'Returns from close to close; null where the 1d before has no row';
