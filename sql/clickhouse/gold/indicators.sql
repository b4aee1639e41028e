-- Fills stored_indicators from stored_ohlcv of 1m, 5m, 15m, 30m, 1h, 4h, 1d, in the blocks that touched_blocks.sql found.
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
-- The recursions: e(n) / w ^ n, with w = 1 - weight, is a sum of x(k) / w ^ k, in which the seed is an x; 2,440 rows of the
-- heaviest weight reach 1e237. Sums of closes and of their squares are exact: integers of 256 bits, in whose differences
-- it does not matter that a sum of squares went round, so that nothing may look for overflows. Of closes from 1e19 on a
-- sixteenth is squared: 400 squares must have room.
-- Arrays have the rows of a block and of the 1,000 intervals before it, in order of time; few blocks at once keep them small
-- (max_block_size = 16). Rows are read many at once: 16 at a time take five times as long where the engine has not cached which it skips.
-- Powers are a row of a table and no constants: the engine compares constants by their text, at each use of each of them.
-- The recursions are elements of one array, in the order EMA 12, 26 and 50, the fast average of MACD, gains, losses, true ranges:
-- the engine reads and plans one expression instead of seven. Of a block only the rows from `skipped` on are built: the sums of
-- recursions begin with its first row all the same, windows of 200 rows with the row at `unneeded`.
-- Rows are read once, by what all blocks of an interval span (firsts, ends: see blocks.py), and not by a set of blocks for each
-- interval: of a step after a minute, reading this text is most of the work.
insert into stored_indicators
with touched as (
    select
        touch.1 as interval,
        touch.2 as venue,
        touch.3 as symbol,
        toDateTime(touch.4, 'UTC') as block,
        fromUnixTimestamp64Micro(touch.5, 'UTC') as changed_from
    from (select arrayJoin({touched:Array(Tuple(String, String, String, UInt32, Int64))}) as touch)
),
source as (
    select
        interval,
        venue,
        symbol,
        open_time,
        high,
        low,
        close,
        is_complete,
        transform(interval, {intervals:Array(String)}, {lengths:Array(UInt32)}, toUInt32(0)) as seconds,
        toDateTime(intDiv(toUnixTimestamp(open_time), 1440 * seconds) * 1440 * seconds, 'UTC') as block
    from stored_ohlcv final
    where (venue, symbol) in {names:Array(Tuple(String, String))} and (
        interval = '1m' and open_time >= {firsts:Array(DateTime64(6, 'UTC'))}[1] and open_time < {ends:Array(DateTime64(6, 'UTC'))}[1]
        or interval = '5m' and open_time >= {firsts:Array(DateTime64(6, 'UTC'))}[2] and open_time < {ends:Array(DateTime64(6, 'UTC'))}[2]
        or interval = '15m' and open_time >= {firsts:Array(DateTime64(6, 'UTC'))}[3] and open_time < {ends:Array(DateTime64(6, 'UTC'))}[3]
        or interval = '30m' and open_time >= {firsts:Array(DateTime64(6, 'UTC'))}[4] and open_time < {ends:Array(DateTime64(6, 'UTC'))}[4]
        or interval = '1h' and open_time >= {firsts:Array(DateTime64(6, 'UTC'))}[5] and open_time < {ends:Array(DateTime64(6, 'UTC'))}[5]
        or interval = '4h' and open_time >= {firsts:Array(DateTime64(6, 'UTC'))}[6] and open_time < {ends:Array(DateTime64(6, 'UTC'))}[6]
        or interval = '1d' and open_time >= {firsts:Array(DateTime64(6, 'UTC'))}[7] and open_time < {ends:Array(DateTime64(6, 'UTC'))}[7]
    )
    settings max_block_size = 65409
),
blocks as (
    select
        interval,
        venue,
        symbol,
        seconds,
        block,
        arraySort(row -> row.1, groupArray((open_time, toFloat64(high), toFloat64(low), toDecimal256(close, 18), is_complete))) as own_rows
    from source
    group by interval, venue, symbol, seconds, block
),
series as (
    select
        interval,
        venue,
        symbol,
        seconds,
        block,
        if(
            lagInFrame(block, 1, block) over following = block - toIntervalSecond(1440 * seconds),
            arrayConcat(arrayFilter(row -> row.1 >= block - toIntervalSecond(1000 * seconds), lagInFrame(own_rows) over following), own_rows),
            own_rows
        ) as rows
    from blocks
    window following as (partition by interval, venue, symbol order by block rows between 1 preceding and current row)
),
powers as (
    select arrayMap(
        base -> arrayMap(k -> pow(base, k), range(1, longest + 1)),
        [13 / 11, 27 / 25, 51 / 49, 13 / 11, 14 / 13, 14 / 13, 14 / 13, 10 / 8]
    ) as all_powers
    from (select arrayJoin([2441]) as longest)
),
prices as (
    select
        interval,
        venue,
        symbol,
        seconds,
        all_powers,
        rows.1 as times,
        rows.4 as closes,
        length(rows) as n,
        toUInt32(arrayCount(time -> time < changed_from, times)) as skipped,
        n - skipped as built,
        if(skipped < 200, 0, skipped - 200) as unneeded,
        skipped - unneeded + 1 as place,
        arrayMap(x -> toFloat64(x), closes) as price,
        arrayPushFront(arrayPopBack(price), price[1]) as price_before,
        if(arrayMax(price) < 1e19, 1, 16) as divisor,
        arraySlice(times, unneeded + 1) as late_times,
        arraySlice(closes, unneeded + 1) as late_closes,
        arrayCumSum(late_closes) as sums,
        if(divisor = 1, late_closes, arrayMap(x -> x / toDecimal256(16, 0), late_closes)) as small_closes,
        arrayCumSum(small_closes) as small_sums,
        arrayCumSum(arrayMap(x -> x * x, small_closes)) as squares,
        arrayCumSum(arraySlice(rows.5, unneeded + 1)) as complete_rows,
        arrayMap((x, y) -> greatest(x - y, 0), price, price_before) as gain,
        arrayMap((x, y) -> greatest(y - x, 0), price, price_before) as loss,
        arrayMap((high, low, y) -> greatest(high - low, abs(high - y), abs(low - y)), rows.2, rows.3, price_before) as moved,
        arrayConcat([toFloat64(0)], arraySlice(moved, 2)) as true_range,
        arraySlice(closes, 1, 50) as first_closes
    from series
    inner join touched using (interval, venue, symbol, block)
    cross join powers
),
averages as (
    select
        *,
        arrayConcat(
            arrayMap((first, count) -> toFloat64(arraySum(arraySlice(first_closes, first, count))) / count * (count + 1) / 2, [1, 1, 1, 15], [12, 26, 50, 12]),
            arrayMap(x -> arraySum(arraySlice(x, 1, 15)), [gain, loss, true_range])
        ) as seeds,
        arrayMap(
            (x, first, seed, all_weights, unbuilt, factor, periods) -> arrayMap(
                (total, weight) -> total / weight * factor / periods,
                arraySlice(arrayCumSum(arrayMap(
                    (x, weight) -> x * weight,
                    arrayResize(arrayConcat(arrayWithConstant(first - 1, toFloat64(0)), [seed], arraySlice(x, first + 1)), n),
                    arraySlice(all_weights, 1, n)
                )), unbuilt + 1),
                arraySlice(all_weights, unbuilt + 1, n - unbuilt)
            ),
            [price, price, price, price, gain, loss, true_range],
            [12, 26, 50, 26, 15, 15, 15],
            seeds,
            arraySlice(all_powers, 1, 7),
            [skipped, 0, skipped, 0, skipped, skipped, skipped],
            [2 / 13, 2 / 27, 2 / 51, 2 / 13, 1, 1, 1],
            [1, 1, 1, 1, 14, 14, 14]
        ) as recursions,
        arrayResize(arrayConcat(arrayWithConstant(25, toFloat64(0)), arraySlice(arrayMap((x, y) -> x - y, recursions[4], recursions[2]), 26)), n) as line,
        arrayMap((total, weight) -> total / weight * (2 / 10), arraySlice(arrayCumSum(arrayMap((x, weight) -> x * weight, arrayResize(
            arrayConcat(arrayWithConstant(33, toFloat64(0)), [arraySum(arraySlice(line, 1, 34)) / 9 * 10 / 2], arraySlice(line, 35)), n
        ), arraySlice(all_powers[8], 1, n))), skipped + 1), arraySlice(all_powers[8], skipped + 1, built)) as signal,
        arrayMap(length -> arrayMap(
            (x, y) -> toFloat64(x - y),
            arraySlice(sums, place), arraySlice(arrayConcat(arrayWithConstant(length, toDecimal256(0, 18)), sums), place, built)
        ), [20, 50, 200]) as last_sums,
        arrayMap(
            (square, square_before, x, y) -> sqrt(toFloat64((square - square_before) * 20 - (x - y) * (x - y))) / 20 * divisor,
            arraySlice(squares, place), arraySlice(arrayConcat(arrayWithConstant(20, toDecimal256(0, 36)), squares), place, built),
            arraySlice(small_sums, place), arraySlice(arrayConcat(arrayWithConstant(20, toDecimal256(0, 18)), small_sums), place, built)
        ) as deviations,
        arrayMap(
            (here, there, time, time_before) -> here - there = 200 and dateDiff('second', time_before, time) = 199 * seconds,
            arraySlice(complete_rows, place), arraySlice(arrayConcat(arrayWithConstant(200, toUInt64(0)), complete_rows), place, built),
            arraySlice(late_times, place), arraySlice(arrayConcat(arrayWithConstant(199, toDateTime64(0, 6, 'UTC')), late_times), place, built)
        ) as whole
    from prices
)
select
    interval,
    venue,
    symbol,
    open_time,
    close,
    if(number < 20, null, sum_20 / 20) as sma_20,
    if(number < 50, null, sum_50 / 50) as sma_50,
    if(number < 200, null, sum_200 / 200) as sma_200,
    if(number < 12, null, e_12) as ema_12,
    if(number < 26, null, e_26) as ema_26,
    if(number < 50, null, e_50) as ema_50,
    multiIf(number < 15, null, gain + loss = 0, 0, 100 * gain / (gain + loss)) as rsi_14,
    if(number < 34, null, macd_line) as macd,
    if(number < 34, null, signal_line) as macd_signal,
    if(number < 34, null, macd_line - signal_line) as macd_histogram,
    if(number < 20, null, sum_20 / 20 + 2 * deviation) as bollinger_upper,
    sma_20 as bollinger_middle,
    if(number < 20, null, sum_20 / 20 - 2 * deviation) as bollinger_lower,
    if(number < 15, null, true_range) as atr_14,
    number >= 200 and is_whole as is_complete,
    {build_version:UInt64} as build_version
from (
    select
        interval,
        venue,
        symbol,
        arraySlice(times, skipped + 1) as open_times,
        range(skipped + 1, n + 1) as numbers,
        arraySlice(price, skipped + 1) as its_prices,
        recursions,
        arraySlice(recursions[2], skipped + 1) as its_ema_26,
        arraySlice(line, skipped + 1) as its_line,
        signal,
        last_sums,
        deviations,
        whole
    from averages
)
array join
    open_times as open_time,
    numbers as number,
    its_prices as close,
    last_sums[1] as sum_20,
    last_sums[2] as sum_50,
    last_sums[3] as sum_200,
    deviations as deviation,
    recursions[1] as e_12,
    its_ema_26 as e_26,
    recursions[3] as e_50,
    recursions[5] as gain,
    recursions[6] as loss,
    recursions[7] as true_range,
    its_line as macd_line,
    signal as signal_line,
    whole as is_whole
settings do_not_merge_across_partitions_select_final = 1, optimize_on_insert = 0, min_insert_block_size_rows = 262144, max_block_size = 16, decimal_check_overflow = 0
