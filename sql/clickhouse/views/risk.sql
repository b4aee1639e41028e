-- Grain: one symbol and minute with trades. Natural key: venue, symbol, open_time. A view: exact at any moment.
create or replace view gold_price_1m
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
comment 'The price per minute, made of every trade: average by trade, average by volume, median';

-- Grain: one symbol and day. Natural key: venue, symbol, open_time. A view: exact at any moment.
-- Realised volatility: the root of the sum of squared log returns of five minutes (Andersen, Bollerslev 1998); annualised by
-- the root of 365, since the market never closes. A day with fewer than 288 returns is a lower bound: is_complete says so.
create or replace view gold_volatility_1d
as
select
    venue,
    symbol,
    toDateTime64(toStartOfDay(return_time), 6, 'UTC') as open_time,
    sqrt(sum(log_return * log_return)) as realised_volatility,
    realised_volatility * sqrt(365) as annualised_volatility,
    count(log_return) as returns,
    returns = 288 and min(is_whole) as is_complete
from (
    select
        venue,
        symbol,
        open_time as return_time,
        is_complete as is_whole,
        toFloat64(close) as price,
        lagInFrame(price, 1, price) over series as price_before,
        lagInFrame(open_time) over series as time_before,
        if(dateDiff('second', time_before, open_time) = 300, log(price / price_before), null) as log_return
    from gold_ohlcv_5m
    window series as (partition by venue, symbol order by open_time rows between unbounded preceding and current row)
)
group by venue, symbol, open_time
comment 'Realised volatility of every day from five-minute returns';

-- Grain: one pair of symbols of a venue and day. Natural key: venue, symbol_a, symbol_b, open_time. A view: exact at any moment.
-- Pearson's correlation of the log returns of the last 30 days that both symbols have; both orders of a pair and each symbol
-- with itself are there, so that a day is a whole matrix. Null until there are 30.
create or replace view gold_correlation_1d
as
select
    venue,
    symbol_a,
    symbol_b,
    open_time,
    if(days = 30, correlation_so_far, null) as correlation
from (
    select
        venue,
        symbol_a,
        symbol_b,
        open_time,
        count() over last_days as days,
        corrStable(return_a, return_b) over last_days as correlation_so_far
    from (
        select venue, symbol as symbol_a, open_time, assumeNotNull(log_return) as return_a
        from gold_returns_1d
        where log_return is not null
    ) as first_returns
    inner join (
        select venue, symbol as symbol_b, open_time, assumeNotNull(log_return) as return_b
        from gold_returns_1d
        where log_return is not null
    ) as second_returns using (venue, open_time)
    window last_days as (partition by venue, symbol_a, symbol_b order by open_time rows between 29 preceding and current row)
) as priced
comment 'Rolling correlation matrix of daily returns over 30 days';

-- Grain: one symbol and day. Natural key: venue, symbol, open_time. A view: exact at any moment.
-- drawdown: close against the highest close so far; max_drawdown: the worst of them so far. volatility_30 and sharpe_30: of the
-- last 30 simple daily returns, sample standard deviation, annualised by 365, risk-free rate 0 (Sharpe 1994). var_95, var_99:
-- historical value at risk, the loss that 5 % or 1 % of the last 365 daily returns exceed, linear between two returns; a
-- positive figure is a loss. Null until there are 30 returns; var_days says how many the quantiles stand on.
create or replace view gold_risk_1d
as
select
    venue,
    symbol,
    open_time,
    close,
    simple_return,
    close / highest - 1 as drawdown,
    min(drawdown) over so_far as max_drawdown,
    if(days_30 = 30, deviation_30 * sqrt(365), null) as volatility_30,
    if(days_30 = 30 and deviation_30 > 0, mean_30 / deviation_30 * sqrt(365), null) as sharpe_30,
    if(var_days >= 30, -quantile_05, null) as var_95,
    if(var_days >= 30, -quantile_01, null) as var_99,
    var_days
from (
    select
        venue,
        symbol,
        open_time,
        close,
        simple_return,
        max(close) over (partition by venue, symbol order by open_time rows between unbounded preceding and current row) as highest,
        count(simple_return) over last_30 as days_30,
        avg(simple_return) over last_30 as mean_30,
        stddevSampStable(simple_return) over last_30 as deviation_30,
        count(simple_return) over last_365 as var_days,
        quantileExactInclusive(0.05)(simple_return) over last_365 as quantile_05,
        quantileExactInclusive(0.01)(simple_return) over last_365 as quantile_01
    from gold_returns_1d
    window
        last_30 as (partition by venue, symbol order by open_time rows between 29 preceding and current row),
        last_365 as (partition by venue, symbol order by open_time rows between 364 preceding and current row)
)
window so_far as (partition by venue, symbol order by open_time rows between unbounded preceding and current row)
comment 'Drawdown, volatility, Sharpe ratio and value at risk of every symbol and day';
