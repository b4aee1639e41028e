-- Venues of which a connection delivered, by events that were loaded since an instant. Rerun is safe: it only reads.
select distinct venue
from silver_stream_events final
where load_time >= fromUnixTimestamp64Micro({since_us:Int64}) and event = 'connected'
order by venue
