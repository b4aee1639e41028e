-- Offends: a closed one-minute kline that our own trades do not make. gold_kline_verdicts_1m has the verdict on every kline.
-- value: the kline's volume less that of the trades. No parameters.
select
    venue,
    symbol,
    open_time as at,
    toFloat64(kline_volume - trades_volume) as value,
    format(
        '{}: kline {} {} {} {} volume {}, trades {} {} {} {} volume {}',
        verdict,
        toString(kline_open), toString(kline_high), toString(kline_low), toString(kline_close), toString(kline_volume),
        toString(trades_open), toString(trades_high), toString(trades_low), toString(trades_close), toString(trades_volume)
    ) as detail
from gold_kline_verdicts_1m(since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')})
where verdict = {verdict:String}
