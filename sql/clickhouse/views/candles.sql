-- Grain: one market whose quantities are contracts. Natural key: venue, symbol. A view: exact at any moment. Every start of a
-- capture says it, the latest word counts.
create or replace view contracts
as
select
    venue,
    symbol,
    argMax(toDecimal256OrZero(detail, 18), started_at) as contract_size
from silver_stream_events
where channel = '' and event = 'contract'
group by venue, symbol
comment 'Markets whose quantities are contracts, and what one contract is worth in the quote asset';

-- Grain: one symbol and interval. Natural key: interval, venue, symbol, open_time. A view: exact at any moment.
-- Where quantities are contracts, volumes in the quote asset are contracts times what one is worth: the venue's candles have
-- the coin there, and price times contracts is nothing. vwap of candles is then that worth by the coin, of trades it is weighted
-- by contracts. A row made of both has none.
-- What contracts are worth is looked up in constants: a join, or a condition on the venue, costs three times the query.
create or replace view gold_ohlcv
as
with
    (select (groupArray(concat(venue, ' ', symbol)), groupArray(contract_size)) from contracts) as worth,
    transform(concat(venue, ' ', symbol), arrayPushFront(worth.1, ''), range(1, length(worth.1) + 2), 1) as place,
    arrayPushFront(worth.2, toDecimal256(0, 18))[place] as contract_size
select
    interval,
    venue,
    symbol,
    open_time,
    toDecimal256(open, 18) as open,
    toDecimal256(high, 18) as high,
    toDecimal256(low, 18) as low,
    toDecimal256(close, 18) as close,
    toDecimal256(stored.volume, 18) as volume,
    if(contract_size = 0, toDecimal256(stored.quote_volume, 18), toDecimal256(volume * contract_size, 18)) as quote_volume,
    trade_count,
    toDecimal256(stored.taker_buy_volume, 18) as taker_buy_volume,
    if(
        contract_size = 0,
        toDecimal256(stored.taker_buy_quote_volume, 18),
        toDecimal256(taker_buy_volume * contract_size, 18)
    ) as taker_buy_quote_volume,
    multiIf(
        ifNull(stored.volume, 0) = 0,
        null,
        contract_size = 0 or source = 'trades',
        divideDecimal(exact_quote_volume, if(ifNull(stored.volume, 0) = 0, toDecimal128(1, 18), assumeNotNull(stored.volume)), 18),
        source != 'klines' or ifNull(stored.quote_volume, 0) = 0,
        null,
        divideDecimal(
            toDecimal256(volume * contract_size, 18),
            if(ifNull(stored.quote_volume, 0) = 0, toDecimal128(1, 18), assumeNotNull(stored.quote_volume)),
            18
        )
    ) as vwap,
    source,
    is_complete
from stored_ohlcv as stored final
settings do_not_merge_across_partitions_select_final = 1
comment 'OHLCV of every interval with where it comes from and whether it is complete; times without a trade have no row unless a kline says so';
