-- How far a transform is: the end of its last finished window, in microseconds, and a build_version higher than any before.
select
    toUnixTimestamp64Micro(maxIf(window_end, transform = {transform:String} and step = '')) as watermark_us,
    greatest(toUInt64(toUnixTimestamp64Micro(now64(6))), max(build_version) + 1) as next_version
from ops_transform_runs
