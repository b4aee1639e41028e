-- Fills stored_ohlcv for 5m, 15m, 30m, 1h, 4h, 1d: each from the next shorter interval.
-- Grain: interval, venue, symbol, open_time. Rerun is safe: a row is a function of stored_ohlcv of the shorter interval and
-- of FINAL silver_klines; it replaces itself. Sums and extremes of exact decimals: the way up does not matter.
-- A sum is null where storage has no room for it (38 digits), or had none for a part's.
-- Touched: the intervals of rows this build made of the shorter interval, of klines loaded in the window, and of minutes in which
-- silver lost rows; the days of all these, where that is as good (grain, see the transformer).
-- Complete: every part is there and complete; or all parts are made of trades whose ids have no hole from before the
-- first part to after the last one, so that times without a row are times without a trade.
-- Of several candidates: a complete roll-up, a closed kline, an incomplete roll-up, a running kline: where a closed kline wins,
-- and where there is no part, ohlcv_own.sql fills the row.
insert into stored_ohlcv
with touched as (
    select distinct
        venue,
        symbol,
        toStartOfInterval(open_time, toIntervalSecond({grain:UInt32})) as start
    from stored_ohlcv
    where interval = {part:String} and build_version = {build_version:UInt64}
-- [lost
    union distinct
    select
        venue,
        symbol,
        toStartOfInterval(minute, toIntervalSecond({grain:UInt32}))
    from ops_lost_minutes
    where dataset in ('trades', 'klines')
        and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
-- lost]
-- [klines
    union distinct
    select
        venue,
        symbol,
        toStartOfInterval(open_time, toIntervalSecond({grain:UInt32}))
    from silver_klines
    where interval = {interval:String}
        and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
-- klines]
),
rolled as (
    select
        venue,
        symbol,
        toDateTime64(toStartOfInterval(part.open_time, toIntervalSecond({seconds:UInt32})), 6, 'UTC') as start,
        argMin(part.open, part.open_time) as open,
        max(part.high) as high,
        min(part.low) as low,
        argMax(part.close, part.open_time) as close,
        if(count(part.volume) = count(), sum(toDecimal256(part.volume, 18)), null) as volume,
        if(count(part.quote_volume) = count(), sum(toDecimal256(part.quote_volume, 18)), null) as quote_volume,
        if(count(part.exact_quote_volume) = count(), sum(part.exact_quote_volume), null) as exact_quote_volume,
        if(count(part.trade_count) = count(), sum(toInt128(part.trade_count)), null) as trade_count,
        if(count(part.taker_buy_volume) = count(), sum(toDecimal256(part.taker_buy_volume, 18)), null) as taker_buy_volume,
        if(count(part.taker_buy_quote_volume) = count(), sum(toDecimal256(part.taker_buy_quote_volume, 18)), null) as taker_buy_quote_volume,
        min(part.first_trade_id) as first_trade_id,
        max(part.last_trade_id) as last_trade_id,
        multiIf(min(part.source = 'trades'), 'trades', min(part.source = 'klines'), 'klines', 'mixed') as source,
        argMin(part.follows_previous, part.open_time) as follows_previous,
        argMax(part.precedes_next, part.open_time) as precedes_next,
        sum(part.is_complete) = intDiv({seconds:UInt32}, {part_seconds:UInt32}) or (
            source = 'trades' and ifNull(trade_count = last_trade_id - first_trade_id + 1, false) and follows_previous and precedes_next
        ) as is_complete
    from stored_ohlcv as part final
    where part.interval = {part:String}
        and (venue, symbol, toStartOfInterval(part.open_time, toIntervalSecond({grain:UInt32}))) in (select * from touched)
    group by venue, symbol, start
)
select
    {interval:String} as interval,
    venue,
    symbol,
    start as open_time,
    open,
    high,
    low,
    close,
    if(isDecimalOverflow(volume, 38), null, accurateCastOrNull(volume, 'Decimal(38, 18)')) as volume,
    if(isDecimalOverflow(quote_volume, 38), null, accurateCastOrNull(quote_volume, 'Decimal(38, 18)')) as quote_volume,
    accurateCastOrNull(trade_count, 'Int64') as trade_count,
    if(isDecimalOverflow(taker_buy_volume, 38), null, accurateCastOrNull(taker_buy_volume, 'Decimal(38, 18)')) as taker_buy_volume,
    if(isDecimalOverflow(taker_buy_quote_volume, 38), null, accurateCastOrNull(taker_buy_quote_volume, 'Decimal(38, 18)')) as taker_buy_quote_volume,
    exact_quote_volume,
    source,
    is_complete,
    first_trade_id,
    last_trade_id,
    follows_previous,
    precedes_next,
    {build_version:UInt64} as build_version
from rolled
-- [klines
where is_complete or (venue, symbol, start) not in (
    select
        venue,
        symbol,
        open_time
    from silver_klines final
    where interval = {interval:String} and is_closed
        and (venue, symbol, toStartOfInterval(open_time, toIntervalSecond({grain:UInt32}))) in (select * from touched)
)
-- klines]
settings do_not_merge_across_partitions_select_final = 1, optimize_on_insert = 0, min_insert_block_size_rows = 262144
