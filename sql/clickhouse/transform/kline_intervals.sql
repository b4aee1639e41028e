-- Of which intervals klines were loaded in the window.
select distinct toString(interval) as of_klines
from silver_klines
where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
