-- Fills stored_ohlcv for 1s and 1m in minutes with trades: from them, and from klines where trades are missing. Minutes without
-- any trade are those of ohlcv_klines.sql.
-- Grain: interval, venue, symbol, open_time. Rerun is safe: a row is a function of FINAL silver alone; it replaces itself.
-- Touched: the first and the last minute of recorded whole days, and of the days beside them; minutes in which silver lost rows; the minutes of loaded klines and trades, and of the trades right before and after loaded ones, whose
-- completeness changes with them; the trades on both sides of ids that are no trades, where one of these or an id is loaded; the
-- days of all these, where that is as good (grain, see the transformer). touched_trades.sql says on which days all that is.
-- A row made of trades is complete if its ids have no hole (the venue counts them up by
-- one in a symbol) and the trades before the first and after the last are here too. Ids that the venue calls no trades (event
-- `no_trade`, of these days and those beside them) are no hole, unless there is a trade of that id all the same; on both sides
-- of a row all such ids up to the next trade are looked past (bridges). Before the first trade of a day that was recorded whole from the venue's file (event
-- `backfilled`) and after its last one nothing is missing in that day, unless the day there was recorded so too: then ids say it.
-- Of a day that was recorded again counts what was said last: keys of its objects ascend with time, loads come in any order.
-- Sums are made in Decimal(76, 18) and are null where storage has no room (38 digits). A sum of products is exact up to 5e40:
-- what Float64 finds far beyond the room is not looked at closer. exact_quote_volume keeps all 36 decimals of it.
-- Of several candidates: complete trades, a closed kline, incomplete trades, a running kline.
-- Both intervals are one statement: it takes the engine as long to plan as to run for some minutes of trades.
insert into stored_ohlcv
with loaded_trades as (
    select
        venue,
        symbol,
        trade_id,
        lagInFrame(trade_id, 1, trade_id) over following_ids + 1 = trade_id as is_after_loaded,
        leadInFrame(trade_id, 1, trade_id) over following_ids = trade_id + 1 as is_before_loaded,
        trade_time
    from silver_trades
    where load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    window following_ids as (
        partition by venue, symbol order by trade_id rows between unbounded preceding and unbounded following
    )
),
-- [no_trades
bridges as (
    select
        venue,
        symbol,
        toUInt64(min(first_id) - 1) as trade_before,
        toUInt64(max(last_id) + 1) as trade_behind,
        max(load_time) as told_at
    from (
        select
            *,
            sum(is_apart) over (partition by venue, symbol order by first_id, last_id rows unbounded preceding) as run
        from (
            select
                venue,
                symbol,
                assumeNotNull(from_update_id) as first_id,
                assumeNotNull(to_update_id) as last_id,
                load_time,
                first_id > max(last_id) over (
                    partition by venue, symbol order by first_id, last_id rows between unbounded preceding and 1 preceding
                ) + 1 as is_apart
            from silver_stream_events
            where event = 'no_trade' and channel = 'trades' and from_update_id is not null and to_update_id is not null
                and to_update_id < from_update_id + 1000
                and toDate(started_at) in {days:Array(Date)}
        )
    )
    group by venue, symbol, run
),
-- no_trades]
touched as (
    select distinct
        venue,
        symbol,
        toStartOfInterval(trade_time, toIntervalSecond({grain:UInt32})) as start
    from loaded_trades
    union distinct
    select
        venue,
        symbol,
        toStartOfInterval(trade_time, toIntervalSecond({grain:UInt32}))
    from silver_trades
    where (venue, symbol, trade_id) in (
        select
            venue,
            symbol,
            arrayJoin(arrayConcat(
                if(is_after_loaded, [], [toUInt64(trade_id - 1)]),
                if(is_before_loaded, [], [toUInt64(trade_id + 1)])
            ))
        from loaded_trades
    )
-- [no_trades
    union distinct
    select
        venue,
        symbol,
        toStartOfInterval(trade_time, toIntervalSecond({grain:UInt32}))
    from silver_trades
    where (venue, symbol, trade_id) in (
        select
            venue,
            symbol,
            arrayJoin([trade_before, trade_behind])
        from bridges
        where told_at >= {window_start:DateTime64(6, 'UTC')}
            or (venue, symbol, trade_before) in (select venue, symbol, trade_id from loaded_trades)
            or (venue, symbol, trade_behind) in (select venue, symbol, trade_id from loaded_trades)
    )
-- no_trades]
-- [whole_days
    union distinct
    select
        venue,
        symbol,
        toStartOfInterval(arrayJoin([started_at, assumeNotNull(ended_at)]), toIntervalSecond({grain:UInt32}))
    from silver_stream_events -- of the file before too: its minutes may be another's now
    where event = 'backfilled' and channel = 'trades' and ended_at is not null
        and toDate(started_at) in {days:Array(Date)}
        and (venue, symbol, toDate(started_at)) in (
            select
                venue,
                symbol,
                arrayJoin([toDate(started_at) - 1, toDate(started_at), toDate(started_at) + 1])
            from silver_stream_events
            where event = 'backfilled' and channel = 'trades' and toDate(started_at) in {days:Array(Date)}
                and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
        )
-- whole_days]
    union distinct
    select
        venue,
        symbol,
        toStartOfInterval(minute, toIntervalSecond({grain:UInt32}))
    from ops_lost_minutes
    where dataset in ('trades', 'klines')
        and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
    union distinct
    select
        venue,
        symbol,
        toStartOfInterval(open_time, toIntervalSecond({grain:UInt32}))
    from silver_klines
    where interval in ('1s', '1m')
        and load_time >= {window_start:DateTime64(6, 'UTC')} and load_time < {window_end:DateTime64(6, 'UTC')}
),
-- [whole_days
whole_days as (
    select
        venue,
        symbol,
        toDate(started_at) as day,
        argMax(assumeNotNull(from_update_id), (object_key, load_time, to_update_id)) as first_id,
        argMax(assumeNotNull(to_update_id), (object_key, load_time, to_update_id)) as last_id
    from silver_stream_events
    where event = 'backfilled' and channel = 'trades'
        and from_update_id is not null and to_update_id is not null and ended_at is not null
        and toDate(started_at) in {days:Array(Date)}
        and (venue, symbol, toDate(started_at)) in (
            select distinct
                venue,
                symbol,
                arrayJoin([toDate(start) - 1, toDate(start), toDate(start) + 1])
            from touched
        )
    group by venue, symbol, day
),
-- whole_days]
from_trades as (
    select
        arrayJoin(['1s', '1m']) as interval,
        venue,
        symbol,
        toDateTime64(if(interval = '1s', toStartOfSecond(trade_time), toStartOfMinute(trade_time)), 6, 'UTC') as start,
        argMin(price, trade_id) as open,
        max(price) as high,
        min(price) as low,
        argMax(price, trade_id) as close,
        sum(toDecimal256(quantity, 18)) as volume,
        if(
            abs(sum(toFloat64(price) * toFloat64(quantity))) < 1e21,
            sum(toDecimal256(price, 18) * quantity),
            null
        ) as exact_quote_volume,
        toDecimal256(exact_quote_volume, 18) as quote_volume,
        toInt64(count()) as trade_count,
        sumIf(toDecimal256(quantity, 18), not is_buyer_maker) as taker_buy_volume,
        if(
            abs(sumIf(toFloat64(price) * toFloat64(quantity), not is_buyer_maker)) < 1e21,
            toDecimal256(sumIf(toDecimal256(price, 18) * quantity, not is_buyer_maker), 18),
            null
        ) as taker_buy_quote_volume,
        min(trade_id) as first_trade_id,
        max(trade_id) as last_trade_id
    from silver_trades final
    where (venue, symbol, toStartOfInterval(trade_time, toIntervalSecond({grain:UInt32}))) in (select * from touched)
    group by interval, venue, symbol, start
),
-- [no_trades
no_trades as (
    select distinct
        venue,
        symbol,
        arrayJoin(range(assumeNotNull(from_update_id), assumeNotNull(to_update_id) + 1)) as trade_id
    from silver_stream_events
    where event = 'no_trade' and channel = 'trades' and from_update_id is not null and to_update_id is not null
        and to_update_id < from_update_id + 1000
        and (venue, symbol) in (select distinct venue, symbol from touched)
        and toDate(started_at) in {days:Array(Date)}
),
left_out_ids as (
    select
        made.interval as interval,
        venue,
        symbol,
        start,
        toInt64(count()) as left_out
    from (select *, arrayJoin(['1s', '1m']) as interval from no_trades) as no_trades
    asof inner join (select interval, venue, symbol, start, first_trade_id, last_trade_id from from_trades) as made
        on no_trades.interval = made.interval and no_trades.venue = made.venue and no_trades.symbol = made.symbol
        and no_trades.trade_id >= made.first_trade_id
    where no_trades.trade_id <= made.last_trade_id
        and (venue, symbol, trade_id) not in (
            select venue, symbol, trade_id from silver_trades where (venue, symbol, trade_id) in (select * from no_trades)
        )
    group by interval, venue, symbol, start
),
-- no_trades]
neighbours as (
    select
        venue,
        symbol,
        trade_id
    from silver_trades
    where (venue, symbol, trade_id) in (
        select
            venue,
            symbol,
            arrayJoin([toUInt64(first_trade_id - 1), last_trade_id + 1])
        from from_trades
    )
),
candidates as (
    select
        * except (left_out),
        'trades' as source,
        first_trade_id = 0 or (venue, symbol, toUInt64(first_trade_id - 1)) in (select * from neighbours)
-- [no_trades
        or (venue, symbol, first_trade_id) in (
            select
                venue,
                symbol,
                trade_behind
            from bridges
            where (venue, symbol, trade_before) in (
                select venue, symbol, trade_id from silver_trades where (venue, symbol, trade_id) in (select venue, symbol, trade_before from bridges)
            )
        )
-- no_trades]
-- [whole_days
        or (
            (venue, symbol, toDate(start), first_trade_id) in (select venue, symbol, day, first_id from whole_days)
            and (venue, symbol, toDate(start) - 1) not in (select venue, symbol, day from whole_days)
        )
-- whole_days]
        as follows_previous,
        (venue, symbol, last_trade_id + 1) in (select * from neighbours)
-- [no_trades
        or (venue, symbol, last_trade_id) in (
            select
                venue,
                symbol,
                trade_before
            from bridges
            where (venue, symbol, trade_behind) in (
                select venue, symbol, trade_id from silver_trades where (venue, symbol, trade_id) in (select venue, symbol, trade_behind from bridges)
            )
        )
-- no_trades]
-- [whole_days
        or (
            (venue, symbol, toDate(start), last_trade_id) in (select venue, symbol, day, last_id from whole_days)
            and (venue, symbol, toDate(start) + 1) not in (select venue, symbol, day from whole_days)
        )
-- whole_days]
        as precedes_next,
        trade_count
-- [no_trades
        + left_out
-- no_trades]
        = last_trade_id - first_trade_id + 1 and follows_previous and precedes_next as is_complete,
        if(is_complete, 0, 2) as rank
    from from_trades
-- [no_trades
    left join left_out_ids using (interval, venue, symbol, start)
-- no_trades]
    union all
    select
        interval,
        venue,
        symbol,
        open_time as start,
        open,
        high,
        low,
        close,
        volume,
        toDecimal256(quote_volume, 36) as exact_quote_volume,
        quote_volume,
        trade_count,
        taker_buy_volume,
        taker_buy_quote_volume,
        0 as first_trade_id,
        0 as last_trade_id,
        'klines' as source,
        false as follows_previous,
        false as precedes_next,
        is_closed as is_complete,
        if(is_closed, 1, 3) as rank
    from silver_klines final
    where interval in ('1s', '1m')
        and (venue, symbol, toStartOfMinute(open_time)) in (
            select distinct
                venue,
                symbol,
                toStartOfMinute(trade_time)
            from silver_trades
            where (venue, symbol, toStartOfInterval(trade_time, toIntervalSecond({grain:UInt32}))) in (select * from touched)
        )
)
select
    interval,
    venue,
    symbol,
    start as open_time,
    open,
    high,
    low,
    close,
    if(isDecimalOverflow(volume, 38), null, accurateCastOrNull(volume, 'Decimal(38, 18)')) as volume,
    if(isDecimalOverflow(quote_volume, 38), null, accurateCastOrNull(quote_volume, 'Decimal(38, 18)')) as quote_volume,
    trade_count,
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
from candidates
order by rank
limit 1 by interval, venue, symbol, open_time
settings do_not_merge_across_partitions_select_final = 1, use_skip_indexes_if_final = 1, optimize_on_insert = 0, min_insert_block_size_rows = 262144
