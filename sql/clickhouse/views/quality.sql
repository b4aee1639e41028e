-- Grain: one stretch of trade ids that were healed; ranges of events that touch or overlap are one. Natural key: venue, symbol,
-- first_id. A view: exact at any moment. next_id is the id behind the last one.
-- A trade of a stretch whose event_time is its trade_time came when a gap was filled, over REST or from a file: its receipt_time
-- says nothing about the stream.
create or replace view healed_trades
as
with
    healed as (
        select
            venue,
            symbol,
            assumeNotNull(from_update_id) as first_id,
            assumeNotNull(to_update_id) + 1 as next_id
        from stream_events
        where event = 'healed' and channel = 'trades' and from_update_id is not null and to_update_id is not null
    ),
    begun as (
        select
            *,
            first_id > max(next_id) over (
                partition by venue, symbol order by first_id, next_id rows between unbounded preceding and 1 preceding
            ) as begins
        from healed
    ),
    numbered as (
        select
            *,
            sum(begins) over (
                partition by venue, symbol order by first_id, next_id rows between unbounded preceding and current row
            ) as number
        from begun
    )
select
    venue,
    symbol,
    min(numbered.first_id) as first_id,
    max(numbered.next_id) as next_id
from numbered
group by venue, symbol, number
comment 'Trade ids that came when a gap was filled, not over a stream';

-- Grain: one dataset, symbol and hour of event_time. A view: exact at any moment. Milliseconds; negative values are shown as
-- they are: receipt before event means that the clocks differ.
-- Trades that were healed are omitted: they were received when their gap was filled.
-- clock_skew_ms: the smallest event -> receipt of the hour. No message is faster than the network, so what of it the network
-- does not explain is our clock ahead of the venue's (or, negative, behind it).
create or replace view gold_latency_1h
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
    from (select venue, symbol, trade_id, trade_time, event_time, receipt_time, load_time from silver_trades final) as trade
    asof left join healed_trades as healed
        on trade.venue = healed.venue and trade.symbol = healed.symbol and trade.trade_id >= healed.first_id
    where not (trade_id < healed.next_id and event_time = trade_time)
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
comment 'From the venue to us to the warehouse: average, percentiles and the clock skew, in milliseconds';

-- Grain: one closed one-minute kline for which there are trades. Natural key: venue, symbol, open_time. A parameterised view:
--   select * from gold_kline_verdicts_1m(since = '2024-08-08', until = '2024-08-09')
-- match: trades make the same open, high, low, close and volume. our_gap: they do not, and trade ids are missing in
-- the minute or beside it. venue_differs: they do not, and no trade is missing
-- (a neighbour within an hour proves it).
create or replace view gold_kline_verdicts_1m
as
with made as (
    select
        venue,
        symbol,
        toDateTime64(toStartOfMinute(trade_time), 6, 'UTC') as open_time,
        argMin(price, trade_id) as open,
        max(price) as high,
        min(price) as low,
        argMax(price, trade_id) as close,
        sum(toDecimal256(quantity, 18)) as volume,
        count() as trade_count,
        min(trade_id) as first_trade_id,
        max(trade_id) as last_trade_id
    from silver_trades final
    where trade_time >= {since:DateTime64(6, 'UTC')} - toIntervalHour(1)
        and trade_time < {until:DateTime64(6, 'UTC')} + toIntervalHour(1)
    group by venue, symbol, open_time
),
neighboured as (
    select
        *,
        first_trade_id = lagInFrame(last_trade_id) over minutes + 1
            and last_trade_id + 1 = leadInFrame(first_trade_id) over minutes
            and last_trade_id - first_trade_id + 1 = trade_count as is_whole
    from made
    window minutes as (
        partition by venue, symbol order by open_time rows between unbounded preceding and unbounded following
    )
)
select
    venue,
    symbol,
    open_time,
    multiIf(
        (kline.open, kline.high, kline.low, kline.close, kline.volume) = (ours.open, ours.high, ours.low, ours.close, ours.volume),
        'match',
        ours.is_whole, 'venue_differs',
        'our_gap'
    ) as verdict,
    toDecimal256(kline.open, 18) as kline_open,
    toDecimal256(ours.open, 18) as trades_open,
    toDecimal256(kline.high, 18) as kline_high,
    toDecimal256(ours.high, 18) as trades_high,
    toDecimal256(kline.low, 18) as kline_low,
    toDecimal256(ours.low, 18) as trades_low,
    toDecimal256(kline.close, 18) as kline_close,
    toDecimal256(ours.close, 18) as trades_close,
    toDecimal256(kline.volume, 18) as kline_volume,
    ours.volume as trades_volume
from (
    select venue, symbol, open_time, open, high, low, close, volume
    from silver_klines final
    where interval = '1m' and is_closed
        and open_time >= {since:DateTime64(6, 'UTC')} and open_time < {until:DateTime64(6, 'UTC')}
) as kline
inner join neighboured as ours using (venue, symbol, open_time)
settings do_not_merge_across_partitions_select_final = 1
comment 'Every kline against our own trades: match, our_gap or venue_differs; parameters since, until';

-- Grain: one symbol and hour. Natural key: venue, symbol, open_time. A view: exact at any moment. A figure is null where the
-- stream has nothing at all in the hour.
create or replace view gold_coverage_1h
as
select
    venue,
    symbol,
    open_time,
    max(trades) as trades_coverage,
    max(book) as book_coverage,
    max(minutes) as klines_coverage
from (
    select
        venue,
        symbol,
        toDateTime64(toStartOfHour(trade_time), 6, 'UTC') as open_time,
        toNullable(count() / (max(trade_id) - min(trade_id) + 1)) as trades,
        cast(null as Nullable(Float64)) as book,
        cast(null as Nullable(Float64)) as minutes
    from trades
    group by venue, symbol, open_time
    union all
    select
        venue,
        symbol,
        open_time,
        null,
        coverage,
        null
    from gold_book_coverage
    union all
    select
        venue,
        symbol,
        toDateTime64(toStartOfHour(open_time), 6, 'UTC') as hour,
        null,
        null,
        count() / 60
    from klines
    where interval = '1m' and is_closed
    group by venue, symbol, hour
)
group by venue, symbol, open_time
comment 'The coverage matrix: what part of every hour each stream of a symbol has';
