-- How far gold is: by transform the instant (microseconds) before which all loads are in it, and when that was done.
-- Rerun is safe: it only reads.
select
    transform,
    toUnixTimestamp64Micro(max(window_end)),
    toUnixTimestamp64Micro(max(run_time))
from ops_transform_runs
where step = ''
group by transform
order by transform
