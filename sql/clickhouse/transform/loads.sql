-- Rows by load_time from the watermark up to the safety lag, of the two tables that move a transform, of the events that do, and of
-- the minutes in which silver lost rows (lost): what the next windows are cut from.
select
    load_us,
    count() as rows,
    countIf(is_lost) as lost
from (
    select toUnixTimestamp64Micro(load_time) as load_us, false as is_lost from {first_source:Identifier}
    where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    union all
    select toUnixTimestamp64Micro(load_time), false from {second_source:Identifier}
    where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    union all
    select toUnixTimestamp64Micro(load_time), false from silver_stream_events
    where has({events:Array(String)}, event)
        and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    union all
    select toUnixTimestamp64Micro(load_time), true from ops_lost_minutes
    where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
)
group by load_us
order by load_us
