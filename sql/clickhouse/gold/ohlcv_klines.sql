-- Fills stored_ohlcv for 1s and 1m from klines, in minutes of which silver has no trade: ohlcv_base.sql chooses in the others.
-- Grain: interval, venue, symbol, open_time. Rerun is safe: a row is a function of FINAL silver alone; it replaces itself.
-- Touched: the minutes of klines loaded in the window, and minutes in which silver lost rows; their days, where that is as good
-- (grain, see the transformer).
insert into stored_ohlcv
with touched as (
    select distinct
        venue,
        symbol,
        toStartOfInterval(open_time, toIntervalSecond({grain:UInt32})) as start
    from silver_klines
    where interval = {interval:String}
        and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
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
-- [trades
    and (venue, symbol, toStartOfMinute(open_time)) not in (
        select distinct
            venue,
            symbol,
            toStartOfMinute(trade_time)
        from silver_trades
        where (venue, symbol, toStartOfInterval(trade_time, toIntervalSecond({grain:UInt32}))) in (select * from touched)
    )
-- trades]
settings do_not_merge_across_partitions_select_final = 1, optimize_on_insert = 0, min_insert_block_size_rows = 262144
