-- The newest second of a contract in which its book is verified, and its newest mark price, in microseconds; null without any.
-- Each part reads in the order of the key and stops at its first row. Rerun is safe: it only reads.
select
    (
        select toUnixTimestamp64Micro(open_time)
        from stored_book_top
        where venue = {venue:String} and symbol = {symbol:String}
        order by open_time desc
        limit 1
    ),
    (
        select toUnixTimestamp64Micro(event_time)
        from silver_mark_prices
        where venue = {venue:String} and symbol = {symbol:String}
        order by event_time desc
        limit 1
    )
