-- Fills stored_ohlcv for 5m, 15m, 30m, 1h, 4h, 1d from the venue's own klines of this interval, where ohlcv_roll_up.sql made no row.
-- Grain: interval, venue, symbol, open_time. Rerun is safe: a row is a function of FINAL silver, and of where this build has a
-- roll-up; it replaces itself.
-- Touched: as in ohlcv_roll_up.sql, which goes before.
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
    union distinct
    select
        venue,
        symbol,
        toStartOfInterval(open_time, toIntervalSecond({grain:UInt32}))
    from silver_klines
    where interval = {interval:String}
        and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
)
select
    interval,
    venue,
    symbol,
    open_time,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    trade_count,
    taker_buy_volume,
    taker_buy_quote_volume,
    toDecimal256(quote_volume, 36) as exact_quote_volume,
    'klines' as source,
    is_closed as is_complete,
    0 as first_trade_id,
    0 as last_trade_id,
    false as follows_previous,
    false as precedes_next,
    {build_version:UInt64} as build_version
from silver_klines final
where interval = {interval:String}
    and (venue, symbol, toStartOfInterval(open_time, toIntervalSecond({grain:UInt32}))) in (select * from touched)
    and (venue, symbol, open_time) not in (
        select
            venue,
            symbol,
            open_time
        from stored_ohlcv
        where interval = {interval:String} and build_version = {build_version:UInt64}
    )
settings do_not_merge_across_partitions_select_final = 1, optimize_on_insert = 0, min_insert_block_size_rows = 262144
