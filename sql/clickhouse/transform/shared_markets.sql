-- Markets that more than one venue has, by the symbols seen so far.
select count()
from (
    select market
    from gold_symbol_map
    group by market
    having uniqExact(venue) > 1
)
