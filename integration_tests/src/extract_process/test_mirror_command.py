"""The mirror as users start it: its three topics, an outage of Pub/Sub, exit codes, and the proof tool.

MIRROR_OUTAGE=60 makes the outage as long as acceptance c wants it.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT
from google.api_core.exceptions import InvalidArgument
from google.pubsub_v1 import (
    Encoding,
    PublisherClient,
    PubsubMessage,
    Schema,
    SchemaServiceClient,
    SchemaSettings,
    SubscriberClient,
    Topic,
)
from tests.commands import ChildProcess, run_here
from tests.waiting import patience

from extract_process.mirror.messages import BookSides, BookState, MessageForms
from extract_process.mirror.pubsub import subscription_path, topic_path
from extract_process.mirror.subscriber_book import Applied
from simulated_exchange.config import ExchangeConfig
from simulated_exchange.server.faults import SocketFault, SocketFaultKind
from tickhouse.provision_pubsub import provision_pubsub
from tickhouse_core.settings import PubSubSettings, read

from .mirroring import Subscriber, VenueComparison, subscribing

if TYPE_CHECKING:
    from conftest import PubSubEmulator

    from .conftest import OpenVenue

SYMBOLS = ("BTCUSDT", "ETHUSDT")
L2 = MessageForms("kucoin", "BTC-USDT").delta(8, BookState(1 << 62, 1, 2), 30, BookSides([("1.5", "0")], []))
OUTAGE_SECONDS = float(os.environ.get("MIRROR_OUTAGE", "8"))


def start(module: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}
    command = [sys.executable, "-m", module, *arguments]
    return ChildProcess(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(module: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    with start(module, *arguments, **environment) as process:
        out, err = process.communicate(timeout=patience(60))
    return process.returncode, out, err


def stopped(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=patience(30))
    return process.returncode, out, err


def options(*symbols: str) -> list[str]:
    return [word for symbol in symbols for word in ("--symbol", symbol)]


def memory_mb(process: "subprocess.Popen[str]") -> float:
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@pytest.fixture
def topics(pubsub_emulator: "PubSubEmulator") -> "PubSubEmulator":
    provision_pubsub(read(PubSubSettings))
    return pubsub_emulator


def test_trades_tickers_and_books_are_on_their_own_topics(open_venue: "OpenVenue", topics: object) -> None:
    open_venue(ExchangeConfig(seed=2))
    with (
        subscribing("crypto.binance.l2") as books,
        subscribing("crypto.binance.trades") as trades,
        subscribing("crypto.binance.ticker") as tickers,
        start("extract_process.mirror", *options(*SYMBOLS)) as process,
    ):
        for subscriber in (books, trades, tickers):
            subscriber.pull_until(lambda one=subscriber: len(one.messages) >= 20, "messages")  # type: ignore[misc]
        code, out, err = stopped(process)
        for subscriber in (books, trades, tickers):
            subscriber.pull_all()
    assert (code, "Traceback" in err) == (0, False)
    assert {attributes["type"] for attributes, _ in books.messages} == {"snapshot", "delta"}
    published = sum(len(subscriber.messages) for subscriber in (books, trades, tickers))
    assert f"messages published  {published:,}" in out
    for symbol in SYMBOLS:
        for subscriber, kind in ((trades, "trade"), (tickers, "ticker")):
            ours = [(attributes, body) for attributes, body in subscriber.messages if attributes["symbol"] == symbol]
            assert {attributes["ordering_key"] for attributes, _ in ours} == {f"binance:{symbol}"}
            assert {attributes["type"] for attributes, _ in ours} == {kind}
            sequences = [body["sequence"] for _, body in ours]
            assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
            assert [attributes["sequence"] for attributes, _ in ours] == list(map(str, sequences))
        ids = [body["trade_id"] for _, body in trades.messages if body["symbol"] == symbol]
        assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_an_outage_leaves_memory_flat_and_the_subscriber_converges_by_itself(
    open_venue: "OpenVenue", topics: "PubSubEmulator"
) -> None:
    exchange = open_venue(ExchangeConfig(seed=9, symbols=20, time_scale=4)).exchange
    compare = VenueComparison(exchange)
    subscriber = Subscriber(on_state=compare)
    with start("extract_process.mirror", *options(*SYMBOLS), "--batch-ms", "20") as process:
        subscriber.pull_until(lambda: all(compare.equal[symbol] > 30 for symbol in SYMBOLS), "books before the outage")
        before = memory_mb(process)
        topics.kill()
        time.sleep(OUTAGE_SECONDS)
        topics.start()
        provision_pubsub(read(PubSubSettings))
        during = memory_mb(process)
        print(f"memory before {before:.0f} MB, right after the outage {during:.0f} MB")
        again = Subscriber(on_state=compare)  # the emulator forgot the subscription, the subscriber its books did not
        again.books = subscriber.books
        equal = dict(compare.equal)
        again.pull_until(lambda: all(compare.equal[symbol] > equal[symbol] + 30 for symbol in SYMBOLS), "books after it", 30)
        code, _, err = stopped(process)
        again.pull_all()
    assert code == 0
    assert "cannot publish" in err
    assert "publishing again" in err
    assert compare.wrong == []
    assert during - before < 50
    for symbol in SYMBOLS:
        sequences = [body["sequence"] for _, body in again.messages if body["symbol"] == symbol]
        last = max(body["sequence"] for _, body in subscriber.messages if body["symbol"] == symbol)
        assert sequences[0] > last + 1, "the jump is visible"
    assert again.applied[Applied.JUMP] <= len(SYMBOLS), "at most once each: the first snapshot may come before the subscription"
    for one in (subscriber, again):
        one.close()


def test_a_killed_mirror_starts_again_and_the_subscribers_books_are_right_all_the_time(
    open_venue: "OpenVenue", topics: object
) -> None:
    """kill -9 loses what was not published yet: the next mirror begins with snapshots, in the same topic and order."""
    exchange = open_venue(ExchangeConfig(seed=5, time_scale=4)).exchange
    compare = VenueComparison(exchange)
    with subscribing(on_state=compare) as subscriber:
        for kill in (True, True, False):
            before = dict(compare.equal)
            with start("extract_process.mirror", *options(*SYMBOLS), "--batch-ms", "20") as process:
                subscriber.pull_until(
                    lambda before=before: all(compare.equal[symbol] > before.get(symbol, 0) + 30 for symbol in SYMBOLS),  # type: ignore[misc]
                    "right books",
                )
                if kill:
                    process.kill()
                    process.communicate()
                    assert process.returncode == -signal.SIGKILL
                else:
                    assert stopped(process)[0] == 0
    assert compare.wrong == []
    assert subscriber.applied[Applied.SNAPSHOT] >= 3 * len(SYMBOLS)


def test_the_proof_tool_finds_right_books_right_and_wrong_ones_wrong(open_venue: "OpenVenue", topics: object) -> None:
    exchange = open_venue(ExchangeConfig(seed=4, time_scale=4)).exchange
    with start("extract_process.mirror", *options(*SYMBOLS), "--snapshot-every", "2") as process:
        code, out, err = run("extract_process.mirror_check", *options(*SYMBOLS), "--duration", f"{patience(8):.0f}")
        assert (code, err.count("error")) == (0, 0), err
        for line in out.splitlines()[1:]:
            symbol, *counts, equal, different, _ = line.split("\t")
            assert symbol in SYMBOLS
            assert int(equal) > 20, counts
            assert different == "0"
        code, _, err = run("extract_process.mirror_check", *options("BTCUSDT"), "--levels", "20")
        assert (code, "--levels 30" in err, "Traceback" in err) == (2, True, False), err
        (mirrors,) = map(int, exchange.tally()["sockets"]["open"])  # its book goes wrong, that of the proof tool does not
        exchange.set_faults([SocketFault(SocketFaultKind.FLIPPED_LEVEL, connection=mirrors, probability=0.3)])
        code, out, err = run("extract_process.mirror_check", *options("BTCUSDT"), "--duration", f"{patience(8):.0f}")
        stopped(process)
    assert code == 1
    assert "differs from the venue's: BTCUSDT" in err
    assert "at update id" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--symbol", "NOSUCH"], 2, "unknown symbol NOSUCH"),
        (["--symbol", "BTCUSDT", "--levels", "400"], 2, "--levels 400"),
        (["--symbol", "BTCUSDT", "--snapshot-levels", "77"], 2, "--snapshot-levels 77"),
        (["--symbol", "BTCUSDT", "--channel", "klines"], 2, "--channel 'klines'"),
        (["--symbol", "BTCUSDT", "--batch-messages", "2500"], 2, "1000"),
        (["--symbol", "BTCUSDT", "--venue", "nasdaq"], 2, "--venue 'nasdaq'"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line(
    arguments: list[str], code: int, words: str, open_venue: "OpenVenue", topics: object
) -> None:
    open_venue()
    ended = run_here("extract_process.mirror", *arguments)
    assert (ended.returncode, words in ended.stderr, "Traceback" in ended.stderr) == (code, True, False), ended.stderr


def test_without_topics_the_mirror_says_what_to_do(open_venue: "OpenVenue", pubsub_emulator: object) -> None:
    open_venue()
    code, _, err = run("extract_process.mirror", "--symbol", "BTCUSDT")
    assert code == 1
    assert "tickhouse provision --pubsub" in err


def test_without_an_emulator_or_credentials_nothing_is_sent_anywhere(open_venue: "OpenVenue", tmp_path: Path) -> None:
    open_venue()
    nowhere = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json"), "CLOUDSDK_CONFIG": str(tmp_path)}
    code, _, err = run("extract_process.mirror", "--symbol", "BTCUSDT", **nowhere)
    assert (code, "Traceback" in err) == (2, False), err
    assert "no Google credentials" in err


def test_provision_makes_topics_and_subscriptions_and_may_be_repeated(pubsub_emulator: object) -> None:
    for _ in range(2):
        code, _, err = run("tickhouse.cli", "provision", "--pubsub")
        assert code == 0, err
    project = read(PubSubSettings).project
    with SubscriberClient() as client:
        example = client.get_subscription(subscription=subscription_path(project, "crypto.binance.l2.example"))
    assert example.enable_message_ordering
    assert example.dead_letter_policy.dead_letter_topic.endswith("/topics/crypto.dead-letters")
    assert example.dead_letter_policy.max_delivery_attempts == 5


def test_topics_are_typed_by_a_schema_and_refuse_what_does_not_fit(
    pubsub_emulator: object, caplog: pytest.LogCaptureFixture
) -> None:
    settings = read(PubSubSettings)
    names = {end: topic_path(settings.project, f"crypto.kucoin.{end}") for end in ("l2", "trades", "ticker")}
    foreign = f"projects/{settings.project}/schemas/someone.else"
    with PublisherClient() as publisher, SchemaServiceClient() as service:
        publisher.create_topic(name=names["l2"])  # of a time before there were schemas
        record = '{"type": "record", "name": "a", "fields": [{"name": "other", "type": "string"}]}'
        for name in ("someone.else", "crypto.l2"):
            wanted = Schema(type_=Schema.Type.AVRO, definition=record)
            service.create_schema(parent=f"projects/{settings.project}", schema=wanted, schema_id=name)
        theirs = SchemaSettings(schema=foreign, encoding=Encoding.JSON)
        publisher.create_topic(request=Topic(name=names["trades"], schema_settings=theirs))
        for _ in range(2):
            provision_pubsub(settings)
        found = {end: publisher.get_topic(topic=name).schema_settings for end, name in names.items()}
        assert found["l2"].schema.endswith("/schemas/crypto.l2")
        assert found["l2"].encoding == Encoding.JSON
        assert '"bids"' in service.get_schema(name=found["l2"].schema).definition, "the old definition got a new revision"
        assert (found["trades"].schema, found["ticker"].schema) == (foreign, "")
        publisher.publish(topic=names["l2"], messages=[PubsubMessage(data=L2.data)])
        for broken in (b'{"venue": "kucoin"}', L2.data.replace(b'"sequence":8', b'"sequence":"eight"'), b"[]"):
            with pytest.raises(InvalidArgument):
                publisher.publish(topic=names["l2"], messages=[PubsubMessage(data=broken)])
    said = {(record.message, getattr(record, "schema", "")) for record in caplog.records if record.levelname == "WARNING"}
    assert said == {
        ("the topic keeps its own schema", foreign),
        ("topics without a schema: their messages are not checked", "crypto.ticker"),  # the emulator has no protobuf
    }
