-- Grain: one pair of symbols of a venue and day. Natural key: venue, symbol_a, symbol_b, open_time. A view: exact at any moment.
-- Pearson's correlation of the log returns of the last 30 days that both symbols have; both orders of a pair and each symbol
-- with itself are there, so that a day is a whole matrix. Null until there are 30.
create view if not exists gold_correlation_1d
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
comment 'Rolling correlation matrix of daily returns over 30 days'
