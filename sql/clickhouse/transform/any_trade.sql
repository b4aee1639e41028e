-- A row if there is a trade.
select 1
from silver_trades
limit 1
