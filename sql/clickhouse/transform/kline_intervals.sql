-- Of which intervals klines were loaded in the window, and the kinds of events that candles look at, where such were.
select distinct toString(interval) as of_klines
from silver_klines
where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
union all
select distinct toString(event)
from silver_stream_events
where event in ('no_trade', 'backfilled') and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
