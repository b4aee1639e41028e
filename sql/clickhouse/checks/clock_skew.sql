-- Offends: a venue and hour in which even the fastest message took longer than the network explains, or no time at all.
-- value: estimated milliseconds by which our clock is ahead of the venue's. Parameters: network_ms (the fastest a message can
-- be, one way), max_skew_ms.
select
    venue,
    '' as symbol,
    open_time as at,
    min(clock_skew_ms) - {network_ms:Float64} as value,
    format(
        'our clock is {} ms {} the venue''s (fastest message {} ms, network {} ms)',
        toString(abs(value)), if(value > 0, 'ahead of', 'behind'), toString(min(clock_skew_ms)), toString({network_ms:Float64})
    ) as detail
from gold_latency_1h
where open_time >= toStartOfHour({since:DateTime64(6, 'UTC')}) and open_time < {until:DateTime64(6, 'UTC')}
group by venue, open_time
having abs(value) > {max_skew_ms:Float64}
