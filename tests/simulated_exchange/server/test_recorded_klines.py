import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest

from simulated_exchange.app import running_exchange
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.exchange import Exchange
from simulated_exchange.server.recorded_klines import Replay, ReplayError

HOUR = 3_600_000
START = 1_704_067_200_000  # 2024-01-01


def recorded_row(hour: int, close: str = "42.10000000") -> list[Any]:
    opened = START + hour * HOUR
    prices = ["42.00000000", "43.50000000", "41.00000000", close]
    return [opened, *prices, "7.12500000", opened + HOUR - 1, "300.1", 12, "3.00000000", "126.3", "0"]


def write(path: Path, *responses: list[list[Any]], url: str = "/api/v3/klines?symbol=AAAUSDT&interval=1h") -> Path:
    lines = [orjson.dumps({"src": "rest", "url": url, "raw": rows}) for rows in responses]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@contextmanager
def replaying(*paths: Path, now: int | None = None) -> Iterator[httpx.Client]:
    with (
        running_exchange(ExchangeConfig(replay=paths, now=now)) as exchange,
        httpx.Client(base_url=exchange.url, trust_env=False) as client,
    ):
        yield client


def klines(client: httpx.Client, symbol: str, interval: str, **asked: Any) -> list[list[Any]]:
    answer = client.get("/api/v3/klines", params={"symbol": symbol, "interval": interval, **asked})
    rows: list[list[Any]] = answer.raise_for_status().json()
    return rows


def test_recorded_rows_are_served_untouched(tmp_path: Path) -> None:
    rows = [recorded_row(hour) for hour in (0, 1, 2, 5)]
    with replaying(write(tmp_path / "a.jsonl", rows)) as client:
        assert klines(client, "AAAUSDT", "1h", startTime=START) == rows
        assert klines(client, "AAAUSDT", "1h", limit=2) == rows[-2:]
        assert klines(client, "AAAUSDT", "1h", startTime=START + 1, endTime=START + 2 * HOUR) == rows[1:3]
        assert klines(client, "AAAUSDT", "1m") == []


def test_the_clock_starts_one_millisecond_after_the_recording(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [recorded_row(0)])
    assert Replay([path]).end == START + HOUR
    with replaying(path) as client:
        assert START + HOUR <= client.get("/api/v3/time").json()["serverTime"] < START + HOUR + 60_000


def test_another_now_hides_what_has_not_opened_yet(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [recorded_row(hour) for hour in range(5)])
    with replaying(path, now=START + 2 * HOUR) as client:
        assert [row[0] for row in klines(client, "AAAUSDT", "1h")] == [START, START + HOUR, START + 2 * HOUR]


def test_of_two_responses_with_the_same_kline_the_later_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [recorded_row(0), recorded_row(1)], [recorded_row(1, "42.20000000")])
    with replaying(path) as client:
        assert [row[4] for row in klines(client, "AAAUSDT", "1h")] == ["42.10000000", "42.20000000"]


def test_a_body_may_be_recorded_as_a_string_and_in_microseconds(tmp_path: Path) -> None:
    row = recorded_row(0)
    row[0], row[6] = row[0] * 1000, row[6] * 1000 + 999
    record = {
        "src": "rest",
        "url": "https://x/api/v3/klines?symbol=AAAUSDT&interval=1h",
        "raw": f"[{orjson.dumps(row).decode()}]",
    }
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(orjson.dumps({"src": "ws", "raw": "{}"}) + b"\n" + orjson.dumps(record)))
    with replaying(path) as client:
        assert klines(client, "AAAUSDT", "1h") == [recorded_row(0)]


def test_exchange_info_and_depth_follow_the_recording(tmp_path: Path) -> None:
    with replaying(write(tmp_path / "a.jsonl", [recorded_row(0)])) as client:
        (symbol,) = client.get("/api/v3/exchangeInfo").json()["symbols"]
        assert (symbol["symbol"], symbol["baseAsset"], symbol["quoteAsset"]) == ("AAAUSDT", "AAA", "USDT")
        book = client.get("/api/v3/depth", params={"symbol": "AAAUSDT", "limit": 5}).json()
        assert book["asks"][0][0] == "42.10000000"


def test_a_recording_cannot_be_halted(tmp_path: Path) -> None:
    exchange = Exchange(ExchangeConfig(replay=(write(tmp_path / "a.jsonl", [recorded_row(0)]),)))
    with pytest.raises(ValueError, match="a recording cannot be halted"):
        exchange.set_halts(["AAAUSDT=2024-01-01/2024-01-02"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no recorded klines"),
        (b'{"src":"ws","raw":"{}"}\n', "no recorded klines"),
        (b"not json\n", "line 1"),
        (b'{"src":"rest","url":"/api/v3/klines?symbol=A&interval=9h","raw":[]}', "line 1"),
        (b'{"src":"rest","url":"/api/v3/klines?symbol=A&interval=1h","raw":[[1,2]]}', "2 columns instead of 12"),
        (b'{"src":"rest","url":"/api/v3/klines?symbol=A&interval=1h","raw":{"code":-1}}', "line 1"),
    ],
)
def test_what_cannot_be_replayed_is_named_with_file_and_line(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(ReplayError, match=reason) as error:
        Replay([path])
    assert "bad.jsonl" in str(error.value)


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(gzip.compress(b"x" * 1000)[:20])
    for path in (tmp_path / "missing.jsonl", broken):
        with pytest.raises(ReplayError, match=f"cannot read {path}"):
            Replay([path])


@pytest.mark.parametrize("name", ["binance_rest_klines_BTCUSDT_30m_2024", "binance_rest_klines_ETHUSDT_1h_202303_outage"])
def test_every_row_of_real_recordings_comes_back_equal(shared_data: Path, name: str) -> None:
    path = shared_data / f"{name}.jsonl.gz"
    records = [orjson.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    asked = parse_qs(urlsplit(records[0]["url"]).query)
    symbol, interval = asked["symbol"][0], asked["interval"][0]
    recorded = {row[0]: row for record in records for row in record["raw"]}
    served: list[list[Any]] = []
    with replaying(path) as client:
        while page := klines(client, symbol, interval, startTime=served[-1][0] + 1 if served else 0, limit=1000):
            served += page
    assert served == [recorded[time] for time in sorted(recorded)]


def test_the_archive_of_a_recording_has_its_rows(shared_data: Path) -> None:
    path = shared_data / "binance_rest_klines_BTCUSDT_30m_2024.jsonl.gz"
    with replaying(path) as client:
        zipped = client.get("/data/spot/monthly/klines/BTCUSDT/30m/BTCUSDT-30m-2024-02.zip")
        assert zipped.status_code == 200
        assert client.get("/data/spot/monthly/klines/BTCUSDT/30m/BTCUSDT-30m-2025-01.zip").status_code == 404
