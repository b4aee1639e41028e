-- The newest book of one market: the best levels of each side, best first. Rerun is safe: it only reads.
select
    side,
    toString(price),
    toString(quantity),
    last_update_id,
    is_proven
from gold_book_at(venue = {venue:String}, symbol = {symbol:String}, at = {at:DateTime64(6, 'UTC')})
limit {levels:UInt32} by side
