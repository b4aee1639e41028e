-- Offends: a symbol and whole hour of which a stream that is recorded has too little. gold_coverage_1h is the whole matrix.
-- value: the lowest part of the hour. Parameters: min_trades, min_book, min_klines.
select
    venue,
    symbol,
    open_time as at,
    least(ifNull(trades_coverage, 1), ifNull(book_coverage, 1), ifNull(klines_coverage, 1)) as value,
    format(
        'trades {}, book {}, klines {}',
        ifNull(toString(round(trades_coverage, 4)), 'none'),
        ifNull(toString(round(book_coverage, 4)), 'none'),
        ifNull(toString(round(klines_coverage, 4)), 'none')
    ) as detail
from gold_coverage_1h
where open_time >= {since:DateTime64(6, 'UTC')} and open_time + toIntervalHour(1) <= {until:DateTime64(6, 'UTC')}
    and (
        trades_coverage < {min_trades:Float64} or book_coverage < {min_book:Float64} or klines_coverage < {min_klines:Float64}
    )
