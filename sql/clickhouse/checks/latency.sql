-- Offends: a symbol and dataset whose 99th percentile from event to receipt, or from receipt to the warehouse, is too high.
-- value: milliseconds event -> receipt, p99. Parameters: max_receipt_p99_ms, max_load_p99_ms.
select
    venue,
    symbol,
    max(open_time) as at,
    max(receipt_p99_ms) as value,
    format(
        '{} event->receipt avg {} p50 {} p99 {} p999 {} ms; receipt->load avg {} p50 {} p99 {} p999 {} ms; {} of {} negative',
        dataset,
        toString(round(sum(receipt_average_ms * messages) / sum(messages), 3)),
        toString(max(receipt_p50_ms)),
        toString(max(receipt_p99_ms)),
        toString(max(receipt_p999_ms)),
        toString(round(sum(load_average_ms * messages) / sum(messages), 3)),
        toString(max(load_p50_ms)),
        toString(max(load_p99_ms)),
        toString(max(load_p999_ms)),
        toString(sum(negative_messages)),
        toString(sum(messages))
    ) as detail
from gold_latency_1h
where open_time >= toStartOfHour({since:DateTime64(6, 'UTC')}) and open_time < {until:DateTime64(6, 'UTC')}
group by dataset, venue, symbol
having max(receipt_p99_ms) > {max_receipt_p99_ms:Float64} or max(load_p99_ms) > {max_load_p99_ms:Float64}
