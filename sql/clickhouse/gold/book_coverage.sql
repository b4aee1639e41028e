-- Fills stored_book_hours: in how many seconds of an hour the book of a symbol is verified.
-- Grain: venue, symbol, hour of event_time. Rerun is safe: a row is a function of FINAL silver in the hour before, the hour and
-- the hour after; it replaces itself.
-- A diff goes on from the one before if its first_update_id is at most that one's last_update_id + 1 (the venue's rule for a
-- local book). The book after a diff is proven if the newest snapshot up to it lies in the same unbroken run, at most from
-- the beginning of the hour before on; it stays proven until the next diff that goes on from it. Time after the last diff of
-- a run is not verified: what was missed is unknown.
-- Touched: the hours that touched_books.sql found. Of a symbol and hour it reads from read_from on: the newest snapshot that
-- the first row of the hour can stand on.
insert into stored_book_hours
with touched as (
    select
        touch.1 as venue,
        touch.2 as symbol,
        toDateTime(touch.3, 'UTC') as hour,
        touch.5 as read_from
    from (select arrayJoin({touched:Array(Tuple(String, String, UInt32, Int64, UInt64))}) as touch)
),
diffs as (
    select
        venue,
        symbol,
        hour,
        first_update_id,
        last_update_id,
        event_time
    from (
        select
            venue,
            symbol,
            arrayJoin([
                toStartOfHour(event_time) - toIntervalHour(1), toStartOfHour(event_time), toStartOfHour(event_time) + toIntervalHour(1)
            ]) as hour,
            first_update_id,
            last_update_id,
            event_time
        from silver_depth_diffs final
        where (venue, symbol) in {names:Array(Tuple(String, String))}
            and event_time >= {read_from:DateTime64(6, 'UTC')} and event_time < {read_to:DateTime64(6, 'UTC')}
    ) as near
    inner join touched using (venue, symbol, hour)
    where last_update_id >= read_from
),
followed as (
    select
        *,
        row_number() over ids = 1 as is_first,
        not is_first and first_update_id > lagInFrame(last_update_id) over ids + 1 as is_hole,
        leadInFrame(first_update_id, 1, 0) over ids as next_first_id,
        leadInFrame(event_time, 1, event_time) over ids as next_time
    from diffs
    window ids as (
        partition by venue, symbol, hour order by last_update_id rows between unbounded preceding and unbounded following
    )
),
runs as (
    select
        *,
        max(if(is_first or is_hole, first_update_id, 0)) over (
            partition by venue, symbol, hour order by last_update_id rows between unbounded preceding and current row
        ) as run_first_id,
        next_first_id > 0 and next_first_id <= last_update_id + 1 as is_followed,
        if(is_followed, greatest(0, dateDiff(
            'microsecond', greatest(event_time, toDateTime64(hour, 6, 'UTC')), least(next_time, toDateTime64(hour, 6, 'UTC') + toIntervalHour(1))
        )), 0) / 1e6 as seconds
    from followed
),
snapshots as (
    select distinct
        venue,
        symbol,
        arrayJoin([
            toStartOfHour(receipt_time) - toIntervalHour(1), toStartOfHour(receipt_time), toStartOfHour(receipt_time) + toIntervalHour(1)
        ]) as hour,
        last_update_id as snapshot_id
    from silver_depth_snapshots final
    where (venue, symbol, toStartOfHour(receipt_time)) in (
        select
            venue,
            symbol,
            arrayJoin([hour - toIntervalHour(1), hour, hour + toIntervalHour(1)])
        from touched
    )
)
select
    runs.venue as venue,
    runs.symbol as symbol,
    toDateTime64(hour, 6, 'UTC') as open_time,
    sumIf(seconds, snapshot_id > 0 and snapshot_id + 1 >= run_first_id) as proven_seconds,
    sum(seconds) as recorded_seconds,
    countIf(toStartOfHour(event_time) = hour) as diffs,
    countIf(toStartOfHour(event_time) = hour and is_hole) as holes,
    uniqExactIf(snapshot_id, toStartOfHour(event_time) = hour and snapshot_id > 0 and snapshot_id + 1 >= run_first_id) as snapshots,
    {build_version:UInt64} as build_version
from runs
asof left join snapshots
    on runs.venue = snapshots.venue and runs.symbol = snapshots.symbol and runs.hour = snapshots.hour
    and runs.last_update_id >= snapshots.snapshot_id
group by venue, symbol, hour
having diffs > 0
settings use_skip_indexes_if_final = 1
