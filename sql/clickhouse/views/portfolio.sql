-- Grain: one portfolio and day. Natural key: portfolio, open_time. A view: exact at any moment.
-- Weights are restored at the beginning of every day: the day's return is the weighted sum of the simple returns. A day on
-- which a holding has no return is not complete and counts with what there is. value begins at 1; no fees.
create or replace view gold_portfolio_1d
as
with daily as (
    select
        holding.portfolio as portfolio,
        day.open_time as open_time,
        sum(holding.weight * day.simple_return) as portfolio_return,
        toBool(count() = any(holding.holdings)) as is_complete
    from (
        select
            portfolio,
            venue,
            symbol,
            weight,
            count() over (partition by portfolio) as holdings
        from portfolio_weights final
    ) as holding
    inner join (
        select
            venue,
            symbol,
            open_time,
            assumeNotNull(simple_return) as simple_return
        from gold_returns_1d
        where gold_returns_1d.simple_return is not null
    ) as day on holding.venue = day.venue and holding.symbol = day.symbol
    group by portfolio, open_time
),
valued as (
    select
        portfolio,
        open_time,
        portfolio_return,
        exp(sum(log(1 + portfolio_return)) over (
            partition by portfolio order by open_time rows between unbounded preceding and current row
        )) as value,
        is_complete
    from daily
)
select
    portfolio,
    open_time,
    portfolio_return,
    value,
    value / greatest(1, max(value) over (
        partition by portfolio order by open_time rows between unbounded preceding and current row
    )) - 1 as drawdown,
    is_complete
from valued as daily
comment 'Performance of the portfolios in portfolio_weights, rebalanced daily';

-- Grain: one signal. Natural key: venue, symbol, open_time, signal. A view: exact at any moment.
-- EXAMPLES of how to write a signal in SQL, known at the close of the row. They are not advice and have no edge.
--   golden_cross, death_cross    sma_50 goes above, below sma_200
--   macd_up, macd_down           macd goes above, below its signal line
--   rsi_oversold, rsi_overbought rsi_14 goes below 30, above 70
create or replace view gold_example_signals_1h
as
select
    venue,
    symbol,
    open_time,
    arrayJoin(arrayFilter(name -> name != '', [
        if(sma_50 > sma_200 and sma_50_before <= sma_200_before, 'golden_cross', ''),
        if(sma_50 < sma_200 and sma_50_before >= sma_200_before, 'death_cross', ''),
        if(macd > macd_signal and macd_before <= macd_signal_before, 'macd_up', ''),
        if(macd < macd_signal and macd_before >= macd_signal_before, 'macd_down', ''),
        if(rsi_14 < 30 and rsi_14_before >= 30, 'rsi_oversold', ''),
        if(rsi_14 > 70 and rsi_14_before <= 70, 'rsi_overbought', '')
    ])) as signal,
    close,
    is_complete
from (
    select
        *,
        lagInFrame(sma_50) over series as sma_50_before,
        lagInFrame(sma_200) over series as sma_200_before,
        lagInFrame(macd) over series as macd_before,
        lagInFrame(macd_signal) over series as macd_signal_before,
        lagInFrame(rsi_14) over series as rsi_14_before
    from gold_indicators_1h
    window series as (partition by venue, symbol order by open_time rows between unbounded preceding and current row)
) as priced
comment 'Examples of signals on hourly indicators, no advice: crossovers and RSI bands';
