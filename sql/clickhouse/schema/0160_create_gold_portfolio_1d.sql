-- Grain: one portfolio and day. Natural key: portfolio, open_time. A view: exact at any moment.
-- Weights are restored at the beginning of every day: the day's return is the weighted sum of the simple returns. A day on
-- which a holding has no return is not complete and counts with what there is. value begins at 1; no fees.
create view if not exists gold_portfolio_1d
as
with daily as (
    select
        holding.portfolio as portfolio,
        day.open_time as open_time,
        sum(holding.weight * day.simple_return) as portfolio_return,
        count() = any(holding.holdings) as is_complete
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
comment 'Performance of the portfolios in portfolio_weights, rebalanced daily'
