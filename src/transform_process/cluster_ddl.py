"""PURE. The schema's statements as a cluster of ClickHouse servers wants them: ON CLUSTER, and tables that replicate.

ClickHouse Cloud replicates by itself and takes the files as they are.
"""

import re

_TABLE = re.compile(r"^(create (?:table|view|materialized view) if not exists \w+|alter table \w+)", re.MULTILINE)
_ENGINE = re.compile(r"^engine = (\w*MergeTree)", re.MULTILINE)
_WINDOW = re.compile(r"\bnon_replicated_deduplication_window = (\d+)")
TOKEN_SECONDS = 1_209_600
"""How long a replica remembers the token of an insert: as long as SQS keeps a message, since a retry may come that late.

The server's own default is an hour. A table that does not replicate remembers by number only.
"""


def on_cluster(sql: str, cluster: str) -> str:
    """One statement of sql/clickhouse/schema for all servers of the cluster. ValueError for one it does not know."""
    named, count = _TABLE.subn(rf"\1 on cluster '{cluster}'", sql, count=1)
    if not count:
        raise ValueError(f"neither a create nor an alter: {sql[:80]!r}")
    replicated = _ENGINE.sub(r"engine = Replicated\1", named)
    remembers = rf"replicated_deduplication_window = \1, replicated_deduplication_window_seconds = {TOKEN_SECONDS}"
    return _WINDOW.sub(remembers, replicated)
