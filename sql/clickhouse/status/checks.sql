-- The last verdict of every check. Times in microseconds. Rerun is safe: it only reads.
select
    check_name,
    argMax(severity, run_time),
    argMax(verdict, run_time),
    argMax(findings, run_time),
    toUnixTimestamp64Micro(max(run_time)),
    argMax(substring(detail, 1, 200), run_time)
from ops_check_results
group by check_name
order by check_name
