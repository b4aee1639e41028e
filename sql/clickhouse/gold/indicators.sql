-- Fills stored_indicators from stored_ohlcv of one interval.
-- Grain: interval, venue, symbol, open_time. Rerun is safe: a row is a function of the rows of stored_ohlcv in its block of
-- 1,440 intervals and in the 1,000 intervals before; it replaces itself. The recursions begin anew 1,000 intervals
-- before each block, so that a late row changes two blocks and no more: of what was before, EMA 50 keeps 4e-18 parts,
-- EMA 26 and Wilder's averages less than 1e-32.
-- Definitions, n counting the rows from the beginning of the series:
--   SMA p      mean of the last p closes; from n = p
--   EMA p      e(n) = e(n - 1) + 2 / (p + 1) * (close - e(n - 1)), e(p) = SMA p; from n = p
--   RSI 14     100 * g / (g + l), g and l Wilder's averages of gains and losses: a(n) = (13 * a(n - 1) + x) / 14, first the
--              mean of 14; from n = 15 (J. W. Wilder, New Concepts in Technical Trading Systems, 1978)
--   ATR 14     Wilder's average of max(high - low, |high - close before|, |low - close before|); from n = 15 (ibid.)
--   MACD       EMA 12 less EMA 26, both seeded at n = 26 from the closes before; signal EMA 9 of it; from n = 34 (G. Appel)
--   Bollinger  SMA 20 and 2 population standard deviations of the last 20 closes; from n = 20 (J. Bollinger)
-- Seeds and warm-up are those of TA-Lib (ta_EMA.c, ta_RSI.c, ta_ATR.c, ta_MACD.c), the implementation tests compare with.
-- exponentialMovingAverage(h)(x, n) is (1 - w) * sum of w ^ age * x with w = 2 ^ (-1 / h): fed with seed / (1 - w) first, it is
-- the recursion. w = (p - 1) / (p + 1) for EMA p, 13 / 14 for Wilder.
insert into stored_indicators
with changed as (
    select
        venue,
        symbol,
        toDateTime64(toStartOfInterval(open_time, toIntervalSecond(1440 * {seconds:UInt32})), 6, 'UTC') as own_block,
        own_block + toIntervalSecond(1440 * {seconds:UInt32}) as next_block,
        min(open_time) as first_time,
        max(open_time) + toIntervalSecond(1000 * {seconds:UInt32}) as reach
    from (
        select venue, symbol, open_time from stored_ohlcv
        where interval = {interval:String} and build_version = {build_version:UInt64}
        union all
        select venue, symbol, toDateTime64(toStartOfInterval(minute, toIntervalSecond({seconds:UInt32})), 6, 'UTC') from ops_lost_minutes
        where dataset in ('trades', 'klines')
            and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    )
    group by venue, symbol, own_block
),
touched as (
    select
        venue,
        symbol,
        touch.1 as block,
        min(touch.2) as changed_from
    from (
        select
            venue,
            symbol,
            arrayJoin(if(
                reach < next_block,
                [(own_block, first_time)],
                [(own_block, first_time), (next_block, next_block)]
            )) as touch
        from changed
    )
    group by venue, symbol, block
),
source as (
    select
        venue,
        symbol,
        toDateTime64(arrayJoin(arrayDistinct([
            toStartOfInterval(open_time, toIntervalSecond(1440 * {seconds:UInt32})),
            toStartOfInterval(open_time + toIntervalSecond(1000 * {seconds:UInt32}), toIntervalSecond(1440 * {seconds:UInt32}))
        ])), 6, 'UTC') as block,
        open_time,
        high,
        low,
        close,
        is_complete
    from stored_ohlcv final
    where interval = {interval:String}
        and (venue, symbol, toStartOfInterval(open_time, toIntervalSecond(1440 * {seconds:UInt32}))) in (
            select
                venue,
                symbol,
                arrayJoin([block, block - toIntervalSecond(1440 * {seconds:UInt32})])
            from touched
        )
),
numbered as (
    select
        venue,
        symbol,
        block,
        open_time,
        row_number() over series as n,
        toFloat64(close) as price,
        toFloat64(high) as high_price,
        toFloat64(low) as low_price,
        lagInFrame(price, 1) over series as price_before,
        sum(toDecimal256(close, 18)) over series as closes,
        sum(toUInt64(is_complete)) over series as complete_rows
    from source
    where (venue, symbol, block) in (select venue, symbol, block from touched)
    window series as (partition by venue, symbol, block order by open_time rows between unbounded preceding and current row)
),
moves as (
    select
        *,
        if(n > 1, greatest(price - price_before, 0), 0) as gain,
        if(n > 1, greatest(price_before - price, 0), 0) as loss,
        if(n > 1, greatest(high_price - low_price, abs(high_price - price_before), abs(low_price - price_before)), 0) as true_range,
        toFloat64(closes - lagInFrame(closes, 12) over series) as last_12,
        toFloat64(closes - lagInFrame(closes, 20) over series) as last_20,
        toFloat64(closes - lagInFrame(closes, 26) over series) as last_26,
        toFloat64(closes - lagInFrame(closes, 50) over series) as last_50,
        toFloat64(closes - lagInFrame(closes, 200) over series) as last_200,
        complete_rows - lagInFrame(complete_rows, 200) over series as last_complete,
        dateDiff('second', lagInFrame(open_time, 199) over series, open_time) as last_seconds,
        stddevPopStable(price) over (
            partition by venue, symbol, block order by open_time rows between 19 preceding and current row
        ) as deviation
    from numbered
    window series as (partition by venue, symbol, block order by open_time rows between unbounded preceding and current row)
),
seeds as (
    select
        *,
        sum(gain) over series / 14 as mean_gain,
        sum(loss) over series / 14 as mean_loss,
        sum(true_range) over series / 14 as mean_range
    from moves
    window series as (partition by venue, symbol, block order by open_time rows between unbounded preceding and current row)
),
averages as (
    select
        *,
        exponentialMovingAverage(1 / log2(13 / 11))(multiIf(n < 12, 0, n = 12, last_12 / 12 * 13 / 2, price), n) over series as ema_12,
        exponentialMovingAverage(1 / log2(27 / 25))(multiIf(n < 26, 0, n = 26, last_26 / 26 * 27 / 2, price), n) over series as ema_26,
        exponentialMovingAverage(1 / log2(51 / 49))(multiIf(n < 50, 0, n = 50, last_50 / 50 * 51 / 2, price), n) over series as ema_50,
        exponentialMovingAverage(1 / log2(13 / 11))(multiIf(n < 26, 0, n = 26, last_12 / 12 * 13 / 2, price), n) over series as fast,
        exponentialMovingAverage(1 / log2(14 / 13))(multiIf(n < 15, 0, n = 15, mean_gain * 14, gain), n) over series as gains,
        exponentialMovingAverage(1 / log2(14 / 13))(multiIf(n < 15, 0, n = 15, mean_loss * 14, loss), n) over series as losses,
        exponentialMovingAverage(1 / log2(14 / 13))(multiIf(n < 15, 0, n = 15, mean_range * 14, true_range), n) over series as ranges,
        if(n < 26, 0, fast - ema_26) as line
    from seeds
    window series as (partition by venue, symbol, block order by open_time rows between unbounded preceding and current row)
),
lines as (
    select
        *,
        sum(line) over series / 9 as mean_line
    from averages
    window series as (partition by venue, symbol, block order by open_time rows between unbounded preceding and current row)
),
signals as (
    select
        *,
        exponentialMovingAverage(1 / log2(10 / 8))(multiIf(n < 34, 0, n = 34, mean_line * 10 / 2, line), n) over series as signal
    from lines
    window series as (partition by venue, symbol, block order by open_time rows between unbounded preceding and current row)
)
select
    {interval:String} as interval,
    venue,
    symbol,
    open_time,
    price as close,
    if(n < 20, null, last_20 / 20) as sma_20,
    if(n < 50, null, last_50 / 50) as sma_50,
    if(n < 200, null, last_200 / 200) as sma_200,
    if(n < 12, null, ema_12) as ema_12,
    if(n < 26, null, ema_26) as ema_26,
    if(n < 50, null, ema_50) as ema_50,
    multiIf(n < 15, null, gains + losses = 0, 0, 100 * gains / (gains + losses)) as rsi_14,
    if(n < 34, null, line) as macd,
    if(n < 34, null, signal) as macd_signal,
    if(n < 34, null, line - signal) as macd_histogram,
    if(n < 20, null, last_20 / 20 + 2 * deviation) as bollinger_upper,
    sma_20 as bollinger_middle,
    if(n < 20, null, last_20 / 20 - 2 * deviation) as bollinger_lower,
    if(n < 15, null, ranges) as atr_14,
    n >= 200 and last_complete = 200 and last_seconds = 199 * {seconds:UInt32} as is_complete,
    {build_version:UInt64} as build_version
from signals
inner join touched using (venue, symbol, block)
where open_time >= changed_from
settings do_not_merge_across_partitions_select_final = 1
