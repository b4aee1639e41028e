-- What the trades since an instant make of the latest klines, before the transformer has seen them. One row a kline, oldest
-- first; times in microseconds. Rerun is safe: it only reads.
-- The first id is looked up without FINAL, by the index of trade_time. With FINAL that index alone would not do: a young part
-- has rows of many symbols, so the ids of a symbol in between all lie within it, and all of them would be merged.
with (
    select minOrNull(trade_id)
    from silver_trades
    where venue = {venue:String} and symbol = {symbol:String} and trade_time >= fromUnixTimestamp64Micro({since_us:Int64})
) as first_id
select
    toUnixTimestamp64Micro(toDateTime64(toStartOfInterval(trade_time, toIntervalSecond({seconds:UInt32})), 6, 'UTC')) as opened,
    argMin(price, trade_id),
    max(price),
    min(price),
    argMax(price, trade_id),
    sum(toDecimal256(quantity, 18)),
    false,
    'trades'
from silver_trades final
where venue = {venue:String} and symbol = {symbol:String} and trade_id >= first_id
    and trade_time >= fromUnixTimestamp64Micro({since_us:Int64})
group by opened
order by opened
