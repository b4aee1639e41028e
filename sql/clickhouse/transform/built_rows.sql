-- Rows that a build left in a gold table.
select count()
from {target:Identifier}
where build_version = {build_version:UInt64}
