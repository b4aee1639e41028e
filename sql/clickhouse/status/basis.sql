-- The basis of a contract against one spot market, the last of every ten seconds, in bps and in a year. Rerun is safe: it only reads.
select
    intDiv(toUnixTimestamp(open_time), 10) * 10000000 as opened,
    argMax(basis_bps, open_time),
    argMax(tuple(annualised_basis), open_time).1
from gold_basis_1s(
    venue = {venue:String}, symbol = {symbol:String}, since = {since:DateTime64(6, 'UTC')}, until = {until:DateTime64(6, 'UTC')}
)
where spot_venue = {spot_venue:String} and spot_symbol = {spot_symbol:String}
group by opened
order by opened
