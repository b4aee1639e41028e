-- The hours of books that a window touches, and what gold/book_top_1s.sql and gold/book_coverage.sql read for each: see books.py.
-- Touched: hours of loaded diffs from the diff before the first loaded one on; hours of loaded snapshots from a minute before
-- their receipt on, which is more than the clocks may differ; and the hours beside each, where they stand on them. Where silver
-- lost rows, gold of the three hours was deleted, so they are touched from their beginning on.
-- changed_from: what happened before it is as it was. read_from: an id that is at most that of the newest snapshot on which the
-- row before the first changed one can stand, and of that row. Minutes tell it: the last minute whose ids are all lower than the
-- first changed one has a row that is at most the one before. Each hour is there twice: is_whole has it for the hour's first row.
-- 0: read all of the three hours. What is read without need changes nothing, so diffs are not FINAL here.
-- Instants: seconds since the epoch for an hour and for read_time, microseconds for changed_from.
with loaded as (
    select
        venue,
        symbol,
        toStartOfHour(event_time) as hour,
        min(event_time) as changed_from
    from silver_depth_diffs
    where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    group by venue, symbol, hour
    union all
    select
        venue,
        symbol,
        arrayJoin([toStartOfHour(receipt_time - toIntervalMinute(1)), toStartOfHour(receipt_time)]) as hour,
        min(receipt_time) - toIntervalMinute(1) as changed_from
    from silver_depth_snapshots
    where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    group by venue, symbol, hour
-- [lost
    union all
    select
        venue,
        symbol,
        arrayJoin([toStartOfHour(minute - toIntervalMinute(1)), toStartOfHour(minute)]) as hour,
        toDateTime64(hour - toIntervalHour(1), 6, 'UTC') as changed_from
    from ops_lost_minutes
    where dataset in ('depth_diffs', 'depth_snapshots')
        and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
-- lost]
),
touched as (
    select
        venue,
        symbol,
        arrayJoin([hour - toIntervalHour(1), hour, hour + toIntervalHour(1)]) as block,
        min(loaded.changed_from) as changed_from
    from loaded
    group by venue, symbol, block
),
around as (
    select distinct
        venue,
        symbol,
        arrayJoin([block - toIntervalHour(1), block, block + toIntervalHour(1)]) as hour
    from touched
),
minutes as (
    select
        venue,
        symbol,
        toStartOfMinute(event_time) as minute,
        min(last_update_id) as low_id,
        max(last_update_id) as high_id
    from silver_depth_diffs
    where toStartOfHour(event_time) in (select hour from around) and (venue, symbol) in (select venue, symbol from around)
    group by venue, symbol, minute
),
books as (
    select
        venue,
        symbol,
        block,
        any(touched.changed_from) as changed_from,
        toStartOfMinute(changed_from) as changed_minute,
        groupArray((minute, low_id, high_id)) as read,
        arrayMap(part -> part.2, arrayFilter(part -> part.1 >= greatest(block, changed_minute), read)) as changed_ids,
        arrayMin(changed_ids) as changed_id,
        arrayMin(arrayMap(part -> part.2, arrayFilter(part -> part.1 >= block, read))) as first_id,
        arrayJoin([(false, changed_id), (true, first_id)]) as built,
        arrayMax(arrayMap(part -> if(part.3 < built.2, part.3, 0), read)) as before_id,
        arrayMax(arrayMap(part -> if(part.3 < changed_id, part.3, 0), read)) as before_changed_id,
        arrayMin(arrayMap(part -> part.1, arrayFilter(part -> part.3 >= before_changed_id, read))) as changes_from
    from (
        select
            *,
            arrayJoin([
                toStartOfHour(minute) - toIntervalHour(1), toStartOfHour(minute), toStartOfHour(minute) + toIntervalHour(1)
            ]) as block
        from minutes
    ) as near
    inner join touched using (venue, symbol, block)
    group by venue, symbol, block
    having notEmpty(changed_ids) and changes_from < block + toIntervalHour(1)
),
snapshots as (
    select
        venue,
        symbol,
        arrayJoin([
            toStartOfHour(receipt_time) - toIntervalHour(1), toStartOfHour(receipt_time), toStartOfHour(receipt_time) + toIntervalHour(1)
        ]) as block,
        last_update_id as snapshot_id
    from silver_depth_snapshots final
    where (venue, symbol, toStartOfHour(receipt_time)) in (select * from around)
)
select
    books.built.1 as is_whole,
    books.venue as of_venue,
    books.symbol as of_symbol,
    toUnixTimestamp(books.block) as hour,
    toUnixTimestamp64Micro(changed_from) as changed_us,
    if(snapshot_id > 0, snapshot_id, before_id) as read_from,
    toUnixTimestamp(arrayMin(arrayMap(part -> part.1, arrayFilter(part -> part.3 >= read_from, read)))) as read_time
from books
asof left join snapshots
    on books.venue = snapshots.venue and books.symbol = snapshots.symbol and books.block = snapshots.block
    and books.before_id >= snapshots.snapshot_id
order by hour, of_venue, of_symbol
settings use_skip_indexes_if_final = 1
