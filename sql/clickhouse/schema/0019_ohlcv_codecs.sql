-- Grain: that of stored_ohlcv, whose rows stay as they are. Rerun is safe: the same codecs again.
-- A rebuild spends a third of the writing of these columns on GCD and ZSTD. Parts that are there keep theirs until they are merged.
alter table stored_ohlcv
    modify column open codec(LZ4),
    modify column high codec(LZ4),
    modify column low codec(LZ4),
    modify column close codec(LZ4),
    modify column volume codec(LZ4),
    modify column quote_volume codec(LZ4),
    modify column trade_count codec(LZ4),
    modify column taker_buy_volume codec(LZ4),
    modify column taker_buy_quote_volume codec(LZ4),
    modify column exact_quote_volume codec(LZ4);
