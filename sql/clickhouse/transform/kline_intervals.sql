-- Of which intervals klines were loaded in the window, and the word no_trade where such events were.
select distinct toString(interval) as of_klines
from silver_klines
where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
union all
select distinct toString(event)
from silver_stream_events
where event = 'no_trade' and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
