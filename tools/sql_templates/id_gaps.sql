-- Offends: {ids} that are missing between two recorded ones and that no event `gap` or `no_trade` speaks of.
-- An id that an event `implausible_id` names is none that was recorded: else all ids before it would be missing.
-- value: how many ids. No parameters.{note}
-- An id that several gaps have counts once: each gap keeps, as its piece, the ids that no former one has, and pieces are counted up.
-- What a hole shares with them is the difference of that count at its two ends: both sides are sorted once.
with
    holes as (
        select
            venue,
            symbol,
            at,
            lagInFrame(last_id, 1, toUInt64(first_id - 1)) over ids + 1 as missing_from,
            first_id - 1 as missing_to
        from (
            select
                venue,
                symbol,
                {time} as at,
                {first_id},
                {last_id}
            from {table}
            where {time} >= {{since:DateTime64(6, 'UTC')}} and {time} < {{until:DateTime64(6, 'UTC')}}{where}
                and (venue, symbol, last_id) not in (
                    select venue, symbol, assumeNotNull(to_update_id)
                    from stream_events
                    where event = 'implausible_id' and channel = '{channel}' and to_update_id is not null
                )
        )
        window ids as (partition by venue, symbol order by last_id rows between unbounded preceding and current row)
    ),
    gaps as (
        select
            venue,
            symbol,
            toInt64(assumeNotNull(from_update_id)) as first_id,
            toInt64(assumeNotNull(to_update_id)) + 1 as next_id
        from stream_events
        where event in ('gap', 'no_trade') and channel = '{channel}' and from_update_id is not null and to_update_id is not null
            and next_id > first_id
    ),
    reached as (
        select
            *,
            max(next_id) over (
                partition by venue, symbol order by first_id, next_id rows between unbounded preceding and 1 preceding
            ) as behind_former
        from gaps
    ),
    pieces as (
        select
            venue,
            symbol,
            greatest(first_id, behind_former) as piece_from,
            next_id as piece_until,
            sum(next_id - piece_from) over (
                partition by venue, symbol order by piece_from rows between unbounded preceding and current row
            ) as ids
        from reached
        where next_id > behind_former
    )
select
    hole.venue as venue,
    hole.symbol as symbol,
    hole.at as at,
    toFloat64(hole.missing_until - hole.missing_from
        - ((ending.ids - greatest(0, ending.piece_until - hole.missing_until))
        - (beginning.ids - greatest(0, beginning.piece_until - hole.missing_from)))) as value,
    format(
        'ids {{}} to {{}} are missing, {{}} of them are in no gap event',
        toString(hole.missing_from), toString(hole.missing_until - 1), toString(value)
    ) as detail
from (
    select venue, symbol, at, toInt64(missing_from) as missing_from, missing_to + 1 as missing_until
    from holes
    where missing_to >= missing_from
) as hole
asof left join pieces as beginning
    on hole.venue = beginning.venue and hole.symbol = beginning.symbol and hole.missing_from >= beginning.piece_from
asof left join pieces as ending
    on hole.venue = ending.venue and hole.symbol = ending.symbol and hole.missing_until >= ending.piece_from
where value > 0
