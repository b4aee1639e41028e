-- Grain: one symbol and day. Natural key: venue, symbol, open_time. A view: exact at any moment.
-- drawdown: close against the highest close so far; max_drawdown: the worst of them so far. volatility_30 and sharpe_30: of the
-- last 30 simple daily returns, sample standard deviation, annualised by 365, risk-free rate 0 (Sharpe 1994). var_95, var_99:
-- historical value at risk, the loss that 5 % or 1 % of the last 365 daily returns exceed, linear between two returns; a
-- positive figure is a loss. Null until there are 30 returns; var_days says how many the quantiles stand on.
create view if not exists gold_risk_1d
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
comment 'Drawdown, volatility, Sharpe ratio and value at risk of every symbol and day'
