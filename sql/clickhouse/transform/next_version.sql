-- A build_version higher than any before.
select greatest(toUInt64(toUnixTimestamp64Micro(now64(6))), max(build_version) + 1)
from ops_transform_runs
