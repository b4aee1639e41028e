-- How many klines of a minute the window loaded, and how many days of a symbol they are in.
select
    count(),
    uniqExact(venue, symbol, toDate(open_time))
from silver_klines
where interval = '1m'
    and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
