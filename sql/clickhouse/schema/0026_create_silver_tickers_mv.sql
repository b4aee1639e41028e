-- Grain: one ticker update per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by
-- natural key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_tickers_mv to silver_tickers
as
select
    venue,
    symbol,
    event_time,
    receipt_time,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    best_bid_price,
    best_bid_quantity,
    best_ask_price,
    best_ask_quantity,
    object_key,
    object_etag,
    load_time
from bronze_tickers as landed
comment 'Deduplication of rolling 24 hour tickers'
