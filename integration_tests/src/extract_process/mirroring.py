"""What tests of the mirror share: a mirror in a thread, a subscriber that rebuilds books, the venue's truth. Not a test."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from google.api_core.exceptions import DeadlineExceeded
from google.pubsub_v1 import PubsubMessage, SubscriberClient, Subscription
from tests.waiting import patience

from extract_process.mirror.options import MirrorOptions
from extract_process.mirror.pubsub import subscription_path, topic_path
from extract_process.mirror.session import MirrorReport, run_mirror
from extract_process.mirror.subscriber_book import Applied, SubscriberBook
from simulated_exchange.app import RunningExchange
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.settings import PubSubSettings, read

OnState = Callable[[str, SubscriberBook], None]


class MirrorRun:
    """A mirror of this process; `report` is there once `stop` has returned."""

    def __init__(self, options: MirrorOptions) -> None:
        self.report: MirrorReport | None = None
        self._request = StopRequest()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(options,), name="mirror")
        self._thread.start()

    def stop(self) -> MirrorReport:
        self._request.set()
        self._thread.join(60)
        if self._failure is not None:
            raise self._failure
        assert self.report is not None, "the mirror did not end within a minute"
        return self.report

    def _run(self, options: MirrorOptions) -> None:
        try:
            self.report = run_mirror(options, self._request)
        except BaseException as failure:  # noqa: BLE001  # raised again by `stop`
            self._failure = failure


@contextmanager
def mirroring(*symbols: str, **options: Any) -> Iterator[MirrorRun]:
    """Mirrors until the context ends."""
    run = MirrorRun(MirrorOptions(symbols, **{"batch_seconds": 0.02, "overlap_seconds": 0.5, **options}))
    try:
        yield run
    finally:
        run.stop()


class Subscriber:
    """Reads a topic in order, keeps every message and rebuilds the books. `on_state` is called after each that counts."""

    def __init__(self, topic: str = "crypto.binance.l2", on_state: OnState = lambda symbol, book: None) -> None:
        self.books: dict[str, SubscriberBook] = {}
        self.applied: Counter[Applied] = Counter()
        self.messages: list[tuple[dict[str, str], dict[str, Any]]] = []
        self._on_state = on_state
        self._client = SubscriberClient()
        project = read(PubSubSettings).project
        self._path = subscription_path(project, f"test-{time.monotonic_ns()}")
        request = Subscription(
            name=self._path, topic=topic_path(project, topic), enable_message_ordering=True, ack_deadline_seconds=60
        )
        self._client.create_subscription(request=request)

    def pull(self) -> int:
        """What is there now; how many messages."""
        try:
            answer = self._client.pull(subscription=self._path, max_messages=1000, retry=None, timeout=1.0)
        except DeadlineExceeded:
            return 0
        if answer.received_messages:
            ids = [item.ack_id for item in answer.received_messages]
            self._client.acknowledge(subscription=self._path, ack_ids=ids)
        for item in answer.received_messages:
            self._hear(item.message)
        return len(answer.received_messages)

    def pull_until(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        allowed = patience(seconds)
        deadline = time.monotonic() + allowed
        while not condition():
            assert time.monotonic() < deadline, f"waited {allowed:.0f} s for {what}; applied {dict(self.applied)}"
            self.pull()

    def pull_all(self) -> None:
        """Until nothing comes any more."""
        while self.pull():
            pass

    def close(self) -> None:
        self._client.transport.close()  # type: ignore[no-untyped-call]

    def _hear(self, message: PubsubMessage) -> None:
        body = orjson.loads(message.data)
        attributes = dict(message.attributes)
        self.messages.append(({**attributes, "ordering_key": message.ordering_key}, body))
        if "bids" not in body:
            return
        symbol = attributes["symbol"]
        book = self.books.setdefault(symbol, SubscriberBook())
        applied = book.apply(attributes["type"], body)
        self.applied[applied] += 1
        if applied in (Applied.SNAPSHOT, Applied.DELTA):
            self._on_state(symbol, book)


@contextmanager
def subscribing(topic: str = "crypto.binance.l2", on_state: OnState = lambda symbol, book: None) -> Iterator[Subscriber]:
    subscriber = Subscriber(topic, on_state)
    try:
        yield subscriber
    finally:
        subscriber.close()


class VenueComparison:
    """Compares rebuilt books with the exchange's own at the same update id, as long as the exchange remembers it."""

    def __init__(self, exchange: RunningExchange, levels: int = 30, futures: str | None = None) -> None:
        """`futures` names the futures market whose books these are."""
        self.equal: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.forgotten = 0
        self._exchange = exchange
        self._levels, self._futures = levels, futures

    def __call__(self, symbol: str, book: SubscriberBook) -> None:
        try:
            truth = self._exchange.book(symbol, book.last_update_id, self._levels, self._futures)
        except ValueError:  # a snapshot's id in the middle of a step, or ten seconds ago
            self.forgotten += 1
            return
        if [list(map(list, side)) for side in (book.bids, book.asks)] == [truth["bids"], truth["asks"]]:
            self.equal[symbol] += 1
        else:
            self.wrong.append(f"{symbol} at {book.last_update_id}")
