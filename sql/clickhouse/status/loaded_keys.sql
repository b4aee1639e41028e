-- Which of these objects the ledger knows, whatever became of them. Rerun is safe: it only reads.
select distinct key
from ops_loaded_objects
where key in %(keys)s
