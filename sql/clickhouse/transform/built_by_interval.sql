-- Rows that a build left in a gold table, by interval.
select
    toString(interval) as of_interval,
    count()
from {target:Identifier}
where build_version = {build_version:UInt64}
group by interval
