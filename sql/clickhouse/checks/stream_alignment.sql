-- Offends: a symbol of which one stream stood still while the other went on: no order book diff for some time among trades, or
-- no trade among diffs. The silence must lie between the first and the last message of both streams together.
-- Trades that were healed do not show that a stream is alive. A recorded gap of the silent stream explains its time: see open_gaps.
-- value: seconds of silence that no gap explains. Parameters: max_depth_silence_seconds, max_trades_silence_seconds.
with seconds as (
    select
        venue,
        symbol,
        toStartOfSecond(event_time) as second,
        countIf(is_depth) as diffs,
        countIf(not is_depth) as trades_here,
        min(event_time) as first_time,
        max(event_time) as last_time,
        minIf(event_time, is_depth) as first_diff,
        maxIf(event_time, is_depth) as last_diff,
        minIf(event_time, not is_depth) as first_trade,
        maxIf(event_time, not is_depth) as last_trade
    from (
        select
            venue,
            symbol,
            event_time,
            false as is_depth
        from (
            select venue, symbol, trade_id, trade_time, event_time
            from silver_trades final
            where event_time >= {since:DateTime64(6, 'UTC')} and event_time < {until:DateTime64(6, 'UTC')}
        ) as trade
        asof left join healed_trades as healed
            on trade.venue = healed.venue and trade.symbol = healed.symbol and trade.trade_id >= healed.first_id
        where not (trade_id < healed.next_id and event_time = trade_time)
        union all
        select
            venue,
            symbol,
            event_time,
            true as is_depth
        from depth_diffs
        where event_time >= {since:DateTime64(6, 'UTC')} and event_time < {until:DateTime64(6, 'UTC')}
    )
    group by venue, symbol, second
),
counted as (
    select
        *,
        toInt64(sum(diffs) over so_far) as diffs_so_far,
        toInt64(sum(trades_here) over so_far) as trades_so_far,
        toInt64(sum(diffs) over symbols) as all_diffs,
        toInt64(sum(trades_here) over symbols) as all_trades,
        min(first_time) over symbols as begin_time,
        max(last_time) over symbols as end_time
    from seconds
    window
        so_far as (partition by venue, symbol order by second rows between unbounded preceding and current row),
        symbols as (partition by venue, symbol)
),
streams as (
    select
        venue,
        symbol,
        'depth' as silent,
        {max_depth_silence_seconds:Float64} as max_seconds,
        first_diff as first_own,
        last_diff as last_own,
        trades_so_far - toInt64(trades_here) as others_before,
        trades_so_far as others_so_far,
        all_trades as all_others,
        begin_time,
        end_time
    from counted
    where diffs > 0 and all_trades > 0
    union all
    select
        venue,
        symbol,
        'trades' as silent,
        {max_trades_silence_seconds:Float64} as max_seconds,
        first_trade as first_own,
        last_trade as last_own,
        diffs_so_far - toInt64(diffs) as others_before,
        diffs_so_far as others_so_far,
        all_diffs as all_others,
        begin_time,
        end_time
    from counted
    where trades_here > 0 and all_diffs > 0
),
pauses as (
    select
        venue,
        symbol,
        silent,
        max_seconds,
        lagInFrame(last_own, 1, begin_time) over stream as from_time,
        first_own as to_time,
        others_before - lagInFrame(others_so_far, 1, toInt64(0)) over stream as others
    from streams
    window stream as (partition by venue, symbol, silent order by first_own rows between unbounded preceding and current row)
    union all
    select
        venue,
        symbol,
        silent,
        max_seconds,
        last_own as from_time,
        end_time as to_time,
        all_others - others_so_far as others
    from streams
    order by last_own desc
    limit 1 by venue, symbol, silent
),
silences as (
    select * from pauses where dateDiff('microsecond', from_time, to_time) / 1e6 > max_seconds and others > 0
),
gap_ends as (
    select
        venue,
        symbol,
        channel as silent,
        started_at,
        ended_at,
        max(ended_at) over (
            partition by venue, symbol, channel order by started_at, ended_at
            rows between unbounded preceding and 1 preceding
        ) as ended_before
    from (
        select venue, symbol, channel, started_at, assumeNotNull(ended_at) as ended_at
        from stream_events
        where event = 'gap' and channel in ('depth', 'trades') and ended_at is not null
    )
),
explained as (
    select
        silence.venue as venue,
        symbol,
        silent,
        from_time,
        sum(greatest(0, dateDiff(
            'microsecond', greatest(started_at, ended_before, from_time), least(ended_at, to_time)
        ))) / 1e6 as seconds
    from silences as silence
    inner join gap_ends using (venue, symbol, silent)
    where started_at < to_time and ended_at > from_time
    group by venue, symbol, silent, from_time
)
select
    silences.venue as venue,
    symbol,
    from_time as at,
    round(dateDiff('microsecond', from_time, to_time) / 1e6 - explained.seconds, 6) as value,
    format('no {} for {} s while {} messages of the other stream came', silent, toString(value), toString(others)) as detail
from silences
left join explained using (venue, symbol, silent, from_time)
where value > max_seconds
