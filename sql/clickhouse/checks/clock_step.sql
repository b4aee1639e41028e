-- Offends: a venue and minute whose fastest message took another time than the minute before it: a clock was set.
-- value: milliseconds by which our clock jumped ahead of the venue's. Parameter: max_step_ms.
with fastest as (
    select
        venue,
        toStartOfMinute(event_time) as minute,
        min(dateDiff('microsecond', event_time, receipt_time)) / 1e3 as fastest_ms,
        count() as messages
    from (
        select venue, event_time, receipt_time
        from trades
        where event_time >= {since:DateTime64(6, 'UTC')} and event_time < {until:DateTime64(6, 'UTC')}
        union all
        select venue, event_time, receipt_time
        from depth_diffs
        where event_time >= {since:DateTime64(6, 'UTC')} and event_time < {until:DateTime64(6, 'UTC')}
    )
    group by venue, minute
    having messages >= 10
)
select
    venue,
    '' as symbol,
    toDateTime64(minute, 6, 'UTC') as at,
    fastest_ms - before_ms as value,
    format('the fastest message took {} ms, in the minute before {} ms', toString(fastest_ms), toString(before_ms)) as detail
from (
    select
        *,
        lagInFrame(fastest_ms, 1, fastest_ms) over (
            partition by venue order by minute rows between unbounded preceding and current row
        ) as before_ms
    from fastest
)
where abs(value) > {max_step_ms:Float64}
