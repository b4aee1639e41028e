-- Grain: one symbol and hour. Natural key: venue, symbol, open_time. A view: exact at any moment.
create view if not exists gold_book_coverage
comment 'Seconds of every hour in which the book of a symbol is provably right'
as
select
    venue,
    symbol,
    open_time,
    proven_seconds,
    recorded_seconds,
    proven_seconds / 3600 as coverage,
    diffs,
    holes,
    snapshots
from gold_book_hours final
settings do_not_merge_across_partitions_select_final = 1
