-- The running funding of a contract in the newest minute of a stretch: its rate, when it is settled (microseconds), the hours of its
-- period, what it is in a year, and the premium. Rerun is safe: it only reads.
select
    toFloat64(funding_rate),
    toUnixTimestamp64Micro(next_funding_time),
    funding_hours,
    annualised_funding,
    premium_bps
from gold_carry_1m(
    venue = {venue:String}, symbol = {symbol:String}, since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')}
)
order by open_time desc
limit 1
