-- How long trades and updates of books took, by slots of event_time, oldest first: milliseconds from event to receipt, and from
-- receipt to the warehouse, median and 99th percentile. Rows of one key count as often as they were received: it is about the way,
-- not about the market. Trades that were healed are omitted. Rerun is safe: it only reads. Times in microseconds.
select
    toInt64(intDiv(toUnixTimestamp(event_time), {seconds:UInt32})) * {seconds:UInt32} * 1000000 as opened,
    quantiles(0.5, 0.99)(dateDiff('microsecond', event_time, receipt_time) / 1e3) as receipt_ms,
    quantiles(0.5, 0.99)(dateDiff('microsecond', receipt_time, load_time) / 1e3) as load_ms
from (
    select event_time, receipt_time, load_time
    from (
        select venue, symbol, trade_id, trade_time, event_time, receipt_time, load_time
        from silver_trades
        where event_time >= fromUnixTimestamp64Micro({since_us:Int64}) and event_time < fromUnixTimestamp64Micro({until_us:Int64})
    ) as trade
    asof left join healed_trades as healed
        on trade.venue = healed.venue and trade.symbol = healed.symbol and trade.trade_id >= healed.first_id
    where not (trade_id < healed.next_id and event_time = trade_time)
    union all
    select event_time, receipt_time, load_time
    from silver_depth_diffs
    where event_time >= fromUnixTimestamp64Micro({since_us:Int64}) and event_time < fromUnixTimestamp64Micro({until_us:Int64})
)
group by opened
order by opened
limit 2000
