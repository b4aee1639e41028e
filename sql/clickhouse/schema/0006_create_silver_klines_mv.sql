-- Grain: one kline per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by natural key,
-- and a retried block is recognised by its token here too.
create materialized view if not exists silver_klines_mv to silver_klines
as
select
    venue,
    symbol,
    interval,
    open_time,
    close_time,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    trade_count,
    taker_buy_volume,
    taker_buy_quote_volume,
    is_closed,
    source,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_klines as landed
comment 'Deduplication of klines'
