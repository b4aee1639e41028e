-- Silver rows by load_time from the watermark up to the safety lag: what the next windows are cut from.
select
    toUnixTimestamp64Micro(load_time) as load_us,
    count() as rows
from {source:Identifier}
where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
group by load_time
order by load_time
