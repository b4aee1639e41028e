-- Grain: the last best bid and ask of one symbol and second. Natural key: venue, symbol, open_time. Rerun is safe: a row that is
-- built again replaces the older build, the higher build_version wins.
create table if not exists stored_quotes (
    venue LowCardinality(String) comment 'exchange',
    symbol LowCardinality(String) comment 'market, in the spelling of the venue',
    open_time DateTime64(6, 'UTC') comment 'the second, by receipt_time; values are as at its end' codec(Delta, ZSTD(1)),
    update_id UInt64 comment 'of the last one, as in book_tickers' codec(Delta, ZSTD(1)),
    bid_price Decimal(38, 18) comment 'best bid, in the quote asset; 0 where there are no bids' codec(GCD, ZSTD(1)),
    bid_quantity Decimal(38, 18) comment 'at the best bid, in the base asset' codec(GCD, ZSTD(1)),
    ask_price Decimal(38, 18) comment 'best ask, in the quote asset; 0 where there are no asks' codec(GCD, ZSTD(1)),
    ask_quantity Decimal(38, 18) comment 'at the best ask, in the base asset' codec(GCD, ZSTD(1)),
    quotes UInt64 comment 'best bids and asks received in the second; 0: none any more, the row is left out' codec(Delta, ZSTD(1)),
    build_version UInt64 comment 'which build: see ops_transform_runs' codec(Delta, ZSTD(1)),
    index build_version_minmax build_version type minmax granularity 1
)
engine = ReplacingMergeTree(build_version)
partition by toYYYYMM(open_time)
order by (venue, symbol, open_time)
comment 'The last best bid and ask of every second, one row each once merged: query the view gold_quotes_1s';
