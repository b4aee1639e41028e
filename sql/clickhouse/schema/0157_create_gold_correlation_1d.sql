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
        a.venue as venue,
        a.symbol as symbol_a,
        b.symbol as symbol_b,
        a.open_time as open_time,
        count() over last_days as days,
        corrStable(assumeNotNull(a.log_return), assumeNotNull(b.log_return)) over last_days as correlation_so_far
    from gold_returns_1d as a
    inner join gold_returns_1d as b on a.venue = b.venue and a.open_time = b.open_time
    where a.log_return is not null and b.log_return is not null
    window last_days as (partition by venue, symbol_a, symbol_b order by open_time rows between 29 preceding and current row)
) as priced
comment 'Rolling correlation matrix of daily returns over 30 days'
