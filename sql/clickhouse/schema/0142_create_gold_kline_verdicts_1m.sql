-- Grain: one closed one-minute kline for which there are trades. Natural key: venue, symbol, open_time. A parameterised view:
--   select * from gold_kline_verdicts_1m(since = '2024-08-08', until = '2024-08-09')
-- match: trades make the same open, high, low, close and volume. our_gap: they do not, and trade ids are missing in
-- the minute or beside it. venue_differs: they do not, and no trade is missing
-- (a neighbour within an hour proves it).
create view if not exists gold_kline_verdicts_1m
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
comment 'Every kline against our own trades: match, our_gap or venue_differs; parameters since, until'
