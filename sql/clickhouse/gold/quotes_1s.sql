-- Fills stored_quotes: the last best bid and ask of every second that has one.
-- Grain: venue, symbol, second of receipt_time. Rerun is safe: a row is a function of FINAL silver in its minute; it replaces itself.
-- The last one of a second is that with the highest update_id: two recorders may receive them in another order.
-- Touched: the minutes of loaded rows and the minutes beside them, and minutes in which silver lost rows (of trades too: what
-- is forgotten is that of both sources). Of an update that two
-- recorders have, silver keeps the first received, which may move it into the second before. A second that has none any more gets
-- a row with 0 quotes, which the view leaves out; receipts of one update are taken to be less than a minute apart.
insert into stored_quotes
with touched as (
    select distinct
        venue,
        symbol,
        arrayJoin([minute - toIntervalMinute(1), minute, minute + toIntervalMinute(1)]) as minute
    from (
        select distinct
            venue,
            symbol,
            toStartOfMinute(receipt_time) as minute
        from silver_book_tickers
        where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
        union distinct
        select
            venue,
            symbol,
            minute
        from ops_lost_minutes
        where dataset in ('book_tickers', 'trades')
            and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    )
),
built as (
    select
        venue,
        symbol,
        toDateTime64(toStartOfSecond(receipt_time), 6, 'UTC') as open_time,
        count() as quotes,
        argMax((update_id, bid_price, bid_quantity, ask_price, ask_quantity), update_id) as last
    from silver_book_tickers final
    where (venue, symbol, toStartOfMinute(receipt_time)) in (select * from touched)
    group by venue, symbol, open_time
)
select
    venue,
    symbol,
    open_time,
    last.1 as update_id,
    last.2 as bid_price,
    last.3 as bid_quantity,
    last.4 as ask_price,
    last.5 as ask_quantity,
    quotes,
    {build_version:UInt64} as build_version
from built
union all
select
    venue,
    symbol,
    open_time,
    update_id,
    bid_price,
    bid_quantity,
    ask_price,
    ask_quantity,
    0,
    {build_version:UInt64}
from stored_quotes final
where quotes > 0
    and (venue, symbol, toStartOfMinute(open_time)) in (select * from touched)
    and (venue, symbol, open_time) not in (select venue, symbol, open_time from built)
