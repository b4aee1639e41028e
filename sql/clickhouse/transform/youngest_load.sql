-- When the youngest object was loaded, in microseconds; 0 without any. Rerun is safe: it only reads.
select toUnixTimestamp64Micro(max(load_time)) as load_time
from ops_loaded_objects
