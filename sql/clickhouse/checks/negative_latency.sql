-- Offends: a symbol and dataset with messages that were received before they were sent: the clocks differ.
-- value: share of the messages. Parameter: max_share.
select
    venue,
    symbol,
    max(open_time) as at,
    sum(negative_messages) / sum(messages) as value,
    format(
        '{} of {} {} were received before they were sent, the earliest by {} ms',
        toString(sum(negative_messages)), toString(sum(messages)), dataset, toString(-min(clock_skew_ms))
    ) as detail
from gold_latency_1h
where open_time >= toStartOfHour({since:DateTime64(6, 'UTC')}) and open_time < {until:DateTime64(6, 'UTC')}
group by dataset, venue, symbol
having sum(negative_messages) > {max_share:Float64} * sum(messages)
