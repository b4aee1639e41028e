"""What came out of a stack: are all ids there once or written down as a gap; does the bucket have what it had."""

import base64
import json
import urllib.parse
import urllib.request
from dataclasses import dataclass

from integration_tests.compose.stack import CheckFailed, Stack

_IDS = {
    "trades": ("trades", "trade_id", "trade_id", ["binance"]),  # KuCoin's trade ids have holes of their own
    "depth": ("depth_diffs", "first_update_id", "last_update_id", ["binance", "kucoin"]),
}


@dataclass(frozen=True, slots=True)
class Continuity:
    """Of one channel: rows, holes between neighbouring ids, how many ids of them no gap accounts for, and where."""

    channel: str
    rows: int
    holes: int
    missing_ids: int
    unexplained_ids: int
    doubled: int
    unexplained_holes: tuple[str, ...]


def continuity(stack: Stack, channel: str) -> Continuity:
    """Compares ids in the view with the gaps in stream_events."""
    view, first, last, venues = _IDS[channel]
    holes = stack.query(
        f"select symbol, toString(before + 1), toString({first} - 1) from ("
        f"  select symbol, {first}, max({last}) over (partition by symbol order by {last} rows between 1000000 preceding"
        f"  and 1 preceding) as before from {view} where venue in ({', '.join(map(repr, venues))})"
        f") where before > 0 and {first} > before + 1 order by all"
    )
    gaps = stack.query(
        "select symbol, toString(from_update_id), toString(to_update_id) from stream_events"
        f" where channel = '{channel}' and event = 'gap'"
    )
    missing = unexplained = 0
    unexplained_holes = []
    for symbol, start, end in holes:
        missing += int(end) - int(start) + 1
        left = _left(int(start), int(end), [(int(a), int(b)) for of, a, b in gaps if of == symbol])
        unexplained += left
        if left:
            unexplained_holes.append(f"{symbol} {start} … {end} ({left})")
    rows = stack.number(f"select count() from {view}")
    distinct = stack.number(f"select uniqExact(venue, symbol, {last}) from {view}")
    return Continuity(channel, rows, len(holes), missing, unexplained, rows - distinct, tuple(unexplained_holes))


def _left(start: int, end: int, gaps: list[tuple[int, int]]) -> int:
    """How many of start … end no gap covers."""
    left = 0
    for gap_start, gap_end in sorted(gaps):
        if gap_end < start or gap_start > end:
            continue
        left += max(gap_start - start, 0)
        start = max(start, gap_end + 1)
    return left + max(end - start + 1, 0)


LEASE_KEY = "compactions/lease.json"


def objects(stack: Stack) -> dict[str, str]:
    """Key -> etag of everything in the bucket, asked of S3 itself; but not the compactor's lease, which each start rewrites."""
    listing = stack.execute("localstack", "awslocal", "s3api", "list-objects-v2", "--bucket", "crypto", "--output", "json")
    found = json.loads(listing or "{}").get("Contents", [])
    return {entry["Key"]: entry["ETag"] for entry in found if entry["Key"] != LEASE_KEY}


def folders_on_the_console(port: int) -> list[str]:
    """What MinIO's page shows under data_sources/ to whoever logs in there, asked as the page asks."""
    address = f"http://localhost:{port}/api/v1"
    jar = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    login = json.dumps({"accessKey": "minioadmin", "secretKey": "minioadmin"}).encode()
    jar.open(urllib.request.Request(f"{address}/login", login, {"Content-Type": "application/json"}), timeout=30).close()
    prefix = urllib.parse.quote(base64.b64encode(b"data_sources/"))
    with jar.open(f"{address}/buckets/crypto/objects?prefix={prefix}", timeout=30) as answer:
        return sorted(entry["name"] for entry in json.load(answer)["objects"])


def ledger(stack: Stack) -> dict[str, tuple[str, str]]:
    """Object version -> status and instant of its load, of every version the ledger knows."""
    rows = stack.query("select key, etag, status, toString(load_time) from ops_loaded_objects final")
    return {f"{key} {etag}": (status, loaded) for key, etag, status, loaded in rows}


def expect(is_so: bool, claim: str) -> None:
    """A printed claim, or CheckFailed with it."""
    if not is_so:
        raise CheckFailed(claim)
    print(f"ok   {claim}", flush=True)
