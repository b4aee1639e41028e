-- Data-quality queries over the views of l2.sql, trades.sql and ticker.sql. A row of a result is a finding: venue, symbol, the
-- finding, its place (sequence or trade id), its time and its values. Run them over the partitions of interest, or as scheduled queries.

-- l2_sequence_jump: deltas whose predecessor is missing. The book is right again with the next snapshot.
select venue, symbol, 'l2_sequence_jump' as finding, sequence as place, event_time, concat('after ', previous) as detail
from (
  select *, lag(sequence) over (partition by venue, symbol order by sequence) as previous
  from crypto.l2
)
where type = 'delta' and sequence != previous + 1
order by venue, symbol, place;

-- l2_crossed_snapshot: a best bid at or above the best ask.
select
  venue,
  symbol,
  'l2_crossed_snapshot' as finding,
  sequence as place,
  any_value(event_time) as event_time,
  concat(max(if(side = 'bid', price, null)), ' >= ', min(if(side = 'ask', price, null))) as detail
from crypto.l2_levels
where type = 'snapshot'
group by venue, symbol, sequence
having max(if(side = 'bid', price, null)) >= min(if(side = 'ask', price, null))
order by venue, symbol, place;

-- l2_impossible_level: a price that is not positive, a negative quantity, or a level without quantity in a snapshot.
select venue, symbol, 'l2_impossible_level' as finding, sequence as place, event_time, concat(side, ' ', price, ' ', quantity) as detail
from crypto.l2_levels
where price <= 0 or quantity < 0 or (type = 'snapshot' and quantity = 0)
order by venue, symbol, place;

-- trades_sequence_jump: messages that are missing.
select venue, symbol, 'trades_sequence_jump' as finding, sequence as place, event_time, concat('after ', previous) as detail
from (
  select *, lag(sequence) over (partition by venue, symbol order by sequence) as previous
  from crypto.trades
)
where sequence != previous + 1
order by venue, symbol, place;

-- trades_id_gap: trade ids that are missing. Only for Binance, whose ids are consecutive. Futures have up to ten ids in a row that
-- are no trades, and no message names them: there only a longer gap is a finding.
select venue, symbol, 'trades_id_gap' as finding, trade_id as place, event_time, concat('after ', previous) as detail
from (
  select *, lag(trade_id) over (partition by venue, symbol order by trade_id) as previous
  from crypto.trades
)
where starts_with(venue, 'binance') and trade_id - previous > if(venue = 'binance', 1, 11)
order by venue, symbol, place;

-- trades_impossible: a price or a quantity that is not positive, or a trade that was received before it happened.
select venue, symbol, 'trades_impossible' as finding, trade_id as place, event_time, concat(price, ' x ', quantity) as detail
from crypto.trades
where price <= 0 or quantity <= 0 or timestamp_diff(trade_time, receipt_time, second) > 1
order by venue, symbol, place;

-- ticker_impossible: high below low, a close outside of them, or a best bid above the best ask.
select
  venue,
  symbol,
  'ticker_impossible' as finding,
  sequence as place,
  event_time,
  concat('close ', close, ', bid ', coalesce(cast(best_bid_price as string), '-')) as detail
from crypto.ticker
where high < low or close > high or close < low or close <= 0 or best_bid_price > best_ask_price
order by venue, symbol, place;

-- late: the newest message of each topic and symbol is more than a minute older than the newest message of all.
select venue, symbol, concat(topic, '_late') as finding, newest as place, event_time, cast(publish_time as string) as detail
from (
  select
    venue,
    symbol,
    topic,
    max(sequence) as newest,
    max(event_time) as event_time,
    max(publish_time) as publish_time,
    max(max(publish_time)) over () as newest_of_all
  from (
    select venue, symbol, 'l2' as topic, sequence, event_time, publish_time from crypto.l2
    union all
    select venue, symbol, 'trades' as topic, sequence, event_time, publish_time from crypto.trades
    union all
    select venue, symbol, 'ticker' as topic, sequence, event_time, publish_time from crypto.ticker
  )
  group by venue, symbol, topic
)
where timestamp_diff(newest_of_all, publish_time, second) > 60
order by venue, symbol, finding;
