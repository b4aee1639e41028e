-- Grain: one trade per inserted row, on its way from bronze to silver. Rerun is safe: silver collapses by natural
-- key, and a retried block is recognised by its token here too.
create materialized view if not exists silver_trades_mv to silver_trades
as
select
    venue,
    symbol,
    trade_id,
    price,
    quantity,
    is_buyer_maker,
    trade_time,
    event_time,
    receipt_time,
    object_key,
    object_etag,
    load_time
from bronze_trades as landed
comment 'Deduplication of trades'
