-- Grain: one dataset, symbol and hour of event_time. A view: exact at any moment. Milliseconds; negative values are shown as
-- they are: receipt before event means that the clocks differ.
-- clock_skew_ms: the smallest event -> receipt of the hour. No message is faster than the network, so what of it the network
-- does not explain is our clock ahead of the venue's (or, negative, behind it).
create view if not exists gold_latency_1h
as
select
    dataset,
    venue,
    symbol,
    toDateTime64(toStartOfHour(event_time), 6, 'UTC') as open_time,
    count() as messages,
    avg(receipt_ms) as receipt_average_ms,
    quantileExact(0.5)(receipt_ms) as receipt_p50_ms,
    quantileExact(0.99)(receipt_ms) as receipt_p99_ms,
    quantileExact(0.999)(receipt_ms) as receipt_p999_ms,
    min(receipt_ms) as clock_skew_ms,
    countIf(receipt_ms < 0) as negative_messages,
    avg(load_ms) as load_average_ms,
    quantileExact(0.5)(load_ms) as load_p50_ms,
    quantileExact(0.99)(load_ms) as load_p99_ms,
    quantileExact(0.999)(load_ms) as load_p999_ms
from (
    select
        'trades' as dataset,
        venue,
        symbol,
        event_time,
        dateDiff('microsecond', event_time, receipt_time) / 1e3 as receipt_ms,
        dateDiff('microsecond', receipt_time, load_time) / 1e3 as load_ms
    from silver_trades final
    union all
    select
        'depth_diffs' as dataset,
        venue,
        symbol,
        event_time,
        dateDiff('microsecond', event_time, receipt_time) / 1e3 as receipt_ms,
        dateDiff('microsecond', receipt_time, load_time) / 1e3 as load_ms
    from silver_depth_diffs final
)
group by dataset, venue, symbol, open_time
comment 'From the venue to us to the warehouse: average, percentiles and the clock skew, in milliseconds'
