-- Examples of the SQL page. Each begins with a line that says what it answers; rerun is safe: they only read.

-- What is recorded: trades per market
select venue, symbol, count() as trades, min(trade_time) as oldest, max(trade_time) as newest
from trades group by venue, symbol order by trades desc;

-- The last candles, where they come from, and whether anything is missing
select venue, symbol, open_time, open, high, low, close, volume, source, is_complete
from gold_ohlcv_1m order by open_time desc limit 20;

-- Volume-weighted price and turnover per market, exact
select venue, symbol, sum(price * quantity) / sum(quantity) as vwap, sum(price * quantity) as turnover
from trades group by venue, symbol;

-- Spread and imbalance per second, where the book is verified
select venue, symbol, open_time, best_bid_price, best_ask_price, spread_bps, imbalance
from gold_book_top_1s order by open_time desc limit 20;

-- Futures and spot: how far they are apart per minute, by verified books or by trades
select open_time, market, basis, venue_a, symbol_a, kind_a, venue_b, symbol_b, kind_b, average_spread_bps
from gold_cross_venue_1m where kind_a != kind_b order by open_time desc limit 20;

-- Funding: every settlement, and what it is in a year
select venue, symbol, funding_time, funding_rate, funding_hours, annualised_funding
from gold_funding order by funding_time desc limit 20;

-- Gaps: when, how long, and why
select venue, symbol, channel, started_at, dateDiff('second', started_at, ended_at) as seconds, cause, from_update_id, to_update_id
from stream_events where event = 'gap' order by started_at desc limit 50;

-- How late messages were, and how long until they could be queried
select dataset, venue, symbol, open_time, receipt_p50_ms, receipt_p99_ms, load_p50_ms, load_p99_ms
from gold_latency_1h order by open_time desc limit 20;

-- Every table and view, with what it is
select name, comment from system.tables where database = currentDatabase() and name not like '%_mv' order by name;
