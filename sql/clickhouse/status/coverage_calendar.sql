-- What part of every hour, day or month one market has, since an instant: complete minutes of any source, minutes made of trades,
-- klines, seconds with a verified book, gaps by channel, healings. Times in microseconds. Rerun is safe: it only reads.
select
    toUnixTimestamp64Micro(toDateTime64(opened, 6, 'UTC')) as opened_us,
    sum(complete),
    sum(traded),
    sum(klines),
    sum(verified),
    sum(trade_gaps),
    sum(book_gaps),
    sum(kline_gaps),
    sum(healed)
from (
    select
        toDateTime(date_trunc({unit:String}, open_time), 'UTC') as opened,
        countIf(is_complete) as complete, countIf(is_complete and source = 'trades') as traded, 0 as klines, 0 as verified,
        0 as trade_gaps, 0 as book_gaps, 0 as kline_gaps, 0 as healed
    from stored_ohlcv final
    where interval = '1m' and venue = {venue:String} and symbol = {symbol:String}
        and open_time >= fromUnixTimestamp64Micro({since_us:Int64})
    group by opened
    union all
    select toDateTime(date_trunc({unit:String}, open_time), 'UTC') as opened, 0, 0, countIf(is_closed), 0, 0, 0, 0, 0
    from silver_klines final
    where interval = '1m' and venue = {venue:String} and symbol = {symbol:String}
        and open_time >= fromUnixTimestamp64Micro({since_us:Int64})
    group by opened
    union all
    select toDateTime(date_trunc({unit:String}, open_time), 'UTC') as opened, 0, 0, 0, toUInt64(sum(proven_seconds)), 0, 0, 0, 0
    from stored_book_hours final
    where venue = {venue:String} and symbol = {symbol:String} and open_time >= fromUnixTimestamp64Micro({since_us:Int64})
    group by opened
    union all
    select
        toDateTime(date_trunc({unit:String}, at), 'UTC') as opened,
        0, 0, 0, 0,
        countIf(event = 'gap' and channel = 'trades'), countIf(event = 'gap' and channel = 'depth'),
        countIf(event = 'gap' and channel = 'klines'), countIf(event = 'healed')
    from (
        select
            event,
            channel,
            if(channel = 'klines', fromUnixTimestamp64Micro(toInt64(ifNull(from_update_id, 0)), 'UTC'), started_at) as at
        from silver_stream_events final
        where event in ('gap', 'healed') and venue = {venue:String} and symbol = {symbol:String}
    )
    where at >= fromUnixTimestamp64Micro({since_us:Int64})
    group by opened
)
group by opened
order by opened
