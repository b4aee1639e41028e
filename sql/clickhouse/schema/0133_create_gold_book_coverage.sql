-- Grain: one symbol and hour. Natural key: venue, symbol, open_time. A view: exact at any moment.
-- within_reach_seconds: seconds in gold_book_top_1s whose best prices are inside the snapshot they stand on.
create view if not exists gold_book_coverage
as
select
    venue,
    symbol,
    open_time,
    proven_seconds,
    recorded_seconds,
    proven_seconds / 3600 as coverage,
    within_reach_seconds,
    diffs,
    holes,
    snapshots
from (select * from stored_book_hours final) as hours
left join (
    select
        venue,
        symbol,
        toDateTime64(toStartOfHour(second_time), 6, 'UTC') as open_time,
        countIf(is_within_reach) as within_reach_seconds
    from (
        select
            venue,
            symbol,
            open_time as second_time,
            is_within_reach
        from gold_book_top_1s
    )
    group by venue, symbol, open_time
) as tops using (venue, symbol, open_time)
settings do_not_merge_across_partitions_select_final = 1
comment 'Seconds of every hour in which the book of a symbol is provably right'
