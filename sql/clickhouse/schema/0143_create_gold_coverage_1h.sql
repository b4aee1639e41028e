-- Grain: one symbol and hour. Natural key: venue, symbol, open_time. A view: exact at any moment. A figure is null where the
-- stream has nothing at all in the hour.
create view if not exists gold_coverage_1h
as
select
    venue,
    symbol,
    open_time,
    max(trades) as trades_coverage,
    max(book) as book_coverage,
    max(minutes) as klines_coverage
from (
    select
        venue,
        symbol,
        toDateTime64(toStartOfHour(trade_time), 6, 'UTC') as open_time,
        toNullable(count() / (max(trade_id) - min(trade_id) + 1)) as trades,
        cast(null as Nullable(Float64)) as book,
        cast(null as Nullable(Float64)) as minutes
    from trades
    group by venue, symbol, open_time
    union all
    select
        venue,
        symbol,
        open_time,
        null,
        coverage,
        null
    from gold_book_coverage
    union all
    select
        venue,
        symbol,
        toDateTime64(toStartOfHour(open_time), 6, 'UTC') as hour,
        null,
        null,
        count() / 60
    from klines
    where interval = '1m' and is_closed
    group by venue, symbol, hour
)
group by venue, symbol, open_time
comment 'The coverage matrix: what part of every hour each stream of a symbol has'
