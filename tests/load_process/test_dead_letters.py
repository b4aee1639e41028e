from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.load_process.conftest import notification
from tests.load_process.operating import FIRST_HOUR, counts, key_of, land, later, redrive, rows_number, send, verdicts
from tests.load_process.test_every_dataset import body_of

from load_process.on_demand import Outcome
from load_process.redrive import DEAD_LETTER_QUEUES, Selection
from tickhouse_core.datasets import STREAM_EVENTS, TICKERS, TRADES
from tickhouse_core.errors import LakeUnavailable, TickhouseError, UsageError
from tickhouse_core.message_queue import SqsQueue
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

DLQ = f"{TRADES.queue}-dlq"
LOADED, ALREADY, REFUSED, GONE = Outcome.LOADED, Outcome.ALREADY, Outcome.QUARANTINED, Outcome.GONE


def dead_letter(lake: Lake, key: str, etag: str | None = None) -> str:
    return notification(lake.store.bucket, key, lake.store.read(key).etag if etag is None else etag)


@pytest.mark.slow
def test_dead_letters_with_good_and_bad_messages(
    moto_lake: Lake, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, done = land(moto_lake, 1, 2, 3)
    redrive(Selection(keys=[done]))
    broken = key_of(4)
    moto_lake.store.write(broken, b"a text file")
    bodies = [dead_letter(moto_lake, key) for key in (first, first, second, done, broken)]
    send(DLQ, *bodies, "hello", dead_letter(moto_lake, key_of(9), "e"), dead_letter(moto_lake, second, "an older etag"))
    capsys.readouterr()
    assert redrive(Selection(queues=[DLQ])) == {LOADED: 3, ALREADY: 1, REFUSED: 1, GONE: 1}  # second: by two names
    assert capsys.readouterr().out.splitlines() == [
        "queue\tmessages deleted\tmessages kept\tloaded\talready loaded, skipped\tquarantined\tnothing to load\t"
        "not loaded: busy or away\tnot loaded: refused",
        f"{DLQ}\t8\t0\t3\t1\t1\t1\t0\t0",
    ]
    assert SqsQueue(DLQ).depth().is_empty
    assert (counts(warehouse), verdicts(warehouse)) == ((6, 6), ["ok"] * 3)
    noted = warehouse.query("select reason from ops_load_errors order by reason")
    assert [row[0] for row in noted] == ["bad_notification", "not_parquet", "object_missing"]


@pytest.mark.slow
def test_all_means_every_dead_letter_queue_of_ours(moto_lake: Lake, warehouse: Warehouse) -> None:
    (trade,), (event,) = land(moto_lake, 1), land(moto_lake, 2, dataset=STREAM_EVENTS)
    send(DLQ, dead_letter(moto_lake, trade))
    send(f"{STREAM_EVENTS.queue}-dlq", dead_letter(moto_lake, event))
    assert redrive(Selection(queues=["all"])) == {LOADED: 2}
    assert (counts(warehouse), counts(warehouse, STREAM_EVENTS)) == ((2, 2), (2, 2))
    assert all(SqsQueue(name).depth().is_empty for name in DEAD_LETTER_QUEUES)


@pytest.mark.slow
def test_dead_letters_again_replace_what_is_loaded(moto_lake: Lake, warehouse: Warehouse) -> None:
    (key,) = land(moto_lake, 1)
    redrive(Selection(keys=[key]))
    moto_lake.store.write(key, body_of(later(rows_number(1)), TRADES))
    redrive(Selection(keys=[key]))
    assert counts(warehouse) == (4, 2)
    send(DLQ, dead_letter(moto_lake, key))
    assert redrive(Selection(queues=[DLQ]), again=True) == {LOADED: 1}
    assert (counts(warehouse), verdicts(warehouse)) == ((2, 2), ["ok"])


@pytest.mark.slow
def test_a_message_whose_object_cannot_be_loaded_stays(moto_lake: Lake, warehouse: Warehouse) -> None:
    good, bad = land(moto_lake, 1)[0], land(moto_lake, 2, dataset=TICKERS)[0]
    send(DLQ, dead_letter(moto_lake, good), dead_letter(moto_lake, bad))
    warehouse.command("alter table bronze_tickers add constraint refuses check close < 0")
    try:
        with pytest.raises(TickhouseError, match=r"^1 objects could not be loaded: see ops_load_errors"):
            redrive(Selection(queues=[DLQ]))
    finally:
        warehouse.command("alter table bronze_tickers drop constraint refuses")
    assert SqsQueue(DLQ).depth().visible == 1
    assert redrive(Selection(queues=[DLQ])) == {LOADED: 1}
    assert (counts(warehouse), counts(warehouse, TICKERS)) == ((2, 2), (2, 2))


@pytest.mark.slow
def test_messages_in_hand_return_when_the_lake_goes_away(
    moto_lake: Lake, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = land(moto_lake, 1)
    send(DLQ, dead_letter(moto_lake, key))
    warehouse.command("rename table ops_loaded_objects to ops_loaded_objects_away")
    try:
        with pytest.raises(TickhouseError):
            redrive(Selection(queues=[DLQ]))
    finally:
        warehouse.command("rename table ops_loaded_objects_away to ops_loaded_objects")
    assert SqsQueue(DLQ).depth().visible == 1
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(LakeUnavailable):
        redrive(Selection(prefix=f"{TRADES.prefix}hour={FIRST_HOUR}"))


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        ("nothing-dlq", "choose from klines-notifications-dlq, "),
        (TRADES.queue, "its dead letters are in trades-notifications-dlq"),
    ],
)
def test_a_queue_that_is_none_is_bad_usage(queue: str, said: str, moto_lake: Lake, warehouse: Warehouse) -> None:
    assert moto_lake.environment
    assert warehouse.is_alive()
    with pytest.raises(UsageError, match=said):
        redrive(Selection(queues=[queue]))
