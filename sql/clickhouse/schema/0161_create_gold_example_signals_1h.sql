-- Grain: one signal. Natural key: venue, symbol, open_time, signal. A view: exact at any moment.
-- EXAMPLES of how to write a signal in SQL, known at the close of the row. They are not advice and have no edge.
--   golden_cross, death_cross    sma_50 goes above, below sma_200
--   macd_up, macd_down           macd goes above, below its signal line
--   rsi_oversold, rsi_overbought rsi_14 goes below 30, above 70
create view if not exists gold_example_signals_1h
as
select
    venue,
    symbol,
    open_time,
    arrayJoin(arrayFilter(name -> name != '', [
        if(sma_50 > sma_200 and sma_50_before <= sma_200_before, 'golden_cross', ''),
        if(sma_50 < sma_200 and sma_50_before >= sma_200_before, 'death_cross', ''),
        if(macd > macd_signal and macd_before <= macd_signal_before, 'macd_up', ''),
        if(macd < macd_signal and macd_before >= macd_signal_before, 'macd_down', ''),
        if(rsi_14 < 30 and rsi_14_before >= 30, 'rsi_oversold', ''),
        if(rsi_14 > 70 and rsi_14_before <= 70, 'rsi_overbought', '')
    ])) as signal,
    close,
    is_complete
from (
    select
        *,
        lagInFrame(sma_50) over series as sma_50_before,
        lagInFrame(sma_200) over series as sma_200_before,
        lagInFrame(macd) over series as macd_before,
        lagInFrame(macd_signal) over series as macd_signal_before,
        lagInFrame(rsi_14) over series as rsi_14_before
    from gold_indicators_1h
    window series as (partition by venue, symbol order by open_time rows between unbounded preceding and current row)
) as priced
comment 'Examples of signals on hourly indicators, no advice: crossovers and RSI bands'
