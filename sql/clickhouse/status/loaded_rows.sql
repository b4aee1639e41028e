-- What one market has in silver: klines by interval, then trades and book updates; of each kind at most a million rows are counted.
-- One row a kind that has any: its name, the interval of klines, and how many. Rerun is safe: it only reads.
select kind, interval, rows
from (
    select 'klines' as kind, interval, least(count(), 1000000) as rows
    from silver_klines
    where venue = {venue:String} and symbol = {symbol:String}
    group by interval
    union all
    select 'trades', '', count()
    from (select 1 from silver_trades where venue = {venue:String} and symbol = {symbol:String} limit 1000000)
    union all
    select 'depth', '', count()
    from (select 1 from silver_depth_diffs where venue = {venue:String} and symbol = {symbol:String} limit 1000000)
)
where rows > 0
order by kind = 'klines' desc, kind = 'trades' desc, rows desc, interval
limit 20
