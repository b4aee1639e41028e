-- How far each transform is: the end of its last finished window, in microseconds.
select
    transform,
    toUnixTimestamp64Micro(max(window_end)) as watermark_us
from ops_transform_runs
where step = ''
group by transform
