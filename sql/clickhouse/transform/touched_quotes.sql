-- How many best bids and asks gold/quotes_1s.sql would look at: loaded ones, and minutes in which silver lost rows.
select (
    select count()
    from silver_book_tickers
    where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
) + (
    select count()
    from ops_lost_minutes
    where dataset in ('book_tickers', 'trades')
        and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
)
