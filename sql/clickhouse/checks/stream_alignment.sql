-- Offends: a symbol of which one stream stood still while the other went on: no order book diff for some time among trades, or
-- no trade among diffs. The silence must lie between the first and the last message of both streams together.
-- value: seconds of silence. Parameters: max_depth_silence_seconds, max_trades_silence_seconds.
with messages as (
    select
        venue,
        symbol,
        event_time,
        false as is_depth
    from trades
    where event_time >= {since:DateTime64(6, 'UTC')} and event_time < {until:DateTime64(6, 'UTC')}
    union all
    select
        venue,
        symbol,
        event_time,
        true as is_depth
    from depth_diffs
    where event_time >= {since:DateTime64(6, 'UTC')} and event_time < {until:DateTime64(6, 'UTC')}
),
both as (
    select
        venue,
        symbol,
        groupArrayIf(toUnixTimestamp64Micro(event_time), is_depth) as depth_times,
        groupArrayIf(toUnixTimestamp64Micro(event_time), not is_depth) as trade_times,
        toUnixTimestamp64Micro(min(event_time)) as first_us,
        toUnixTimestamp64Micro(max(event_time)) as last_us
    from messages
    group by venue, symbol
    having notEmpty(depth_times) and notEmpty(trade_times)
),
edges as (
    select
        venue,
        symbol,
        stream.1 as silent,
        stream.3 as max_seconds,
        stream.4 as other_times,
        arraySort(arrayConcat([first_us, last_us], stream.2)) as times
    from both
    array join [
        ('depth', depth_times, {max_depth_silence_seconds:Float64}, trade_times),
        ('trades', trade_times, {max_trades_silence_seconds:Float64}, depth_times)
    ] as stream
)
select
    venue,
    symbol,
    fromUnixTimestamp64Micro(from_us, 'UTC') as at,
    (to_us - from_us) / 1e6 as value,
    format('no {} for {} s while {} messages of the other stream came', silent, toString(value), toString(others)) as detail,
    arrayCount(time -> time > from_us and time < to_us, other_times) as others
from (
    select
        venue,
        symbol,
        silent,
        max_seconds,
        other_times,
        arrayJoin(arrayZip(arrayPopBack(times), arrayPopFront(times))) as pause,
        pause.1 as from_us,
        pause.2 as to_us
    from edges
)
where value > max_seconds and others > 0
