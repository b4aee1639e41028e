"""What is wrong with a recording of a chaotic venue, in words; nothing is right only when nothing is found. Not a test."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tickhouse_core.timestamps import from_datetime

from .chaos_venue import NUMBERING, ChaosVenue, Market, Sent

_NAMED = 5
Rows = list[dict[str, Any]]


@dataclass
class _Told:
    """What the events of one channel and symbol name, to the id."""

    gaps: set[int] = field(default_factory=set)
    healed: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    doubled: set[int] = field(default_factory=set)
    numberings: int = 0


def wrongs_of(venue: ChaosVenue, trades: Rows, diffs: Rows, events: Rows) -> Iterator[str]:
    """Rows and events of this venue alone, as they lie in the lake."""
    for market in venue.markets.values():
        for channel, sent, rows in (("trades", market.trades, trades), ("depth", market.diffs, diffs)):
            spans = _spans(channel, [row for row in rows if row["symbol"] == market.symbol])
            for wrong in _wrongs_of_stream(market, channel, sent, spans, _texts_of(events, channel, market.symbol)):
                yield f"{venue.kind} {market.symbol} {channel}: {wrong}"
    strangers = {row["symbol"] for row in (*trades, *diffs)} - set(venue.markets)
    if strangers:
        yield f"{venue.kind}: rows of {sorted(strangers)[:_NAMED]}, which nobody asked for"
    for name in ("mismatch", "not_judged"):
        for row in events:
            if row["event"] == name:
                yield f"{venue.kind} {row['symbol']}: {name}: {row['detail']}"


def wrongs_without_ids(venue: ChaosVenue, channel: str, rows: Rows, events: Rows) -> Iterator[str]:
    """Rows of a channel that has no ids, told by their time in milliseconds."""
    time_column, price_column = {"mark_prices": ("event_time", "mark_price"), "liquidations": ("trade_time", "price")}[channel]
    for market in venue.markets.values():
        sent = {message.last: message for message in market.without_ids[channel]}
        landed = Counter(
            (from_datetime(row[time_column]) // 1_000, row[price_column]) for row in rows if row["symbol"] == market.symbol
        )
        wrong = [
            f"{price} at {at} is there {times} times, said {sent.get(at)}"
            for (at, price), times in landed.items()
            if at not in sent or not sent[at].is_good or sent[at].content != price or times > max(1, len(sent[at].sockets))
        ]
        is_told = any((row["event"], row["channel"], row["symbol"]) == ("refused_row", channel, market.symbol) for row in events)
        if (bad := _surely([*sent.values()], good=False)) and not is_told:  # the first few are, then they are counted
            wrong.append(f"{len(bad)} unreadable rows surely arrived, and no event tells of one")
        lost = _each("row that surely arrived is nowhere", _surely([*sent.values()], good=True) - {at for at, _ in landed})
        for words in (*wrong[:_NAMED], *lost, *([] if landed else ["no rows at all"])):
            yield f"{venue.kind} {market.symbol} {channel}: {words}"


def _wrongs_of_stream(
    market: Market, channel: str, sent: list[Sent], spans: list[tuple[int, int, Any]], told: _Told
) -> Iterator[str]:
    by_last = {message.last: message for message in sent}
    landed = Counter((first, last) for first, last, _ in spans if last <= 50 * NUMBERING + 10 * NUMBERING)
    rows = {number for first, last in landed for number in range(first, last + 1)}
    for first, last, content in spans:
        message = by_last.get(last)
        if message is None:
            if (first, last) in landed:
                yield f"row {first} to {last} was never said"
        elif message.first != first or message.content != content:
            yield f"row {first} to {last} is {content}, the venue said {message.first} and {message.content}"
        elif not message.is_good and not set(range(first, last + 1)) <= told.healed:
            yield f"row {first} to {last} was unreadable and never healed"
    for (first, last), times in landed.items():
        message = by_last.get(last)
        if message is not None and times > max(1, len(message.sockets)):
            yield f"row {first} to {last} is there {times} times"
    yield from _each("row that surely arrived is nowhere", _surely(sent, good=True) - rows)
    yield from _each("unreadable row has no refused_row", _surely(sent, good=False) - told.refused)
    yield from _each("refused_row of a readable message", told.refused - _ids(sent, good=False))
    yield from _each("gap twice", told.doubled)
    yield from _each("false gap (the id is a row)", (told.gaps - told.healed) & rows)
    yield from _each("false gap (there is no such id)", told.gaps - _ids(sent))
    yield from _each("healed without a gap", told.healed - told.gaps)
    yield from _each("healed and no row", told.healed - rows)
    yield from _each("neither row nor gap", _between(sent, rows) - rows - told.gaps)
    if told.numberings != market.numberings:
        yield f"{market.numberings} new numberings, {told.numberings} told"


def _between(sent: list[Sent], rows: set[int]) -> set[int]:
    """Of each numbering the ids from its first row to its last: before and after them nobody can know of any."""
    found: set[int] = set()
    by_numbering: dict[int, list[int]] = {}
    for number in rows:
        by_numbering.setdefault((number - 1) // NUMBERING, []).append(number)
    bounds = {key: (min(ids), max(ids)) for key, ids in by_numbering.items()}
    for message in sent:
        low, high = bounds.get((message.first - 1) // NUMBERING, (1, 0))
        if low <= message.first and message.last <= high:
            found.update(range(message.first, message.last + 1))
    return found


def _texts_of(events: Rows, channel: str, symbol: str) -> _Told:
    told = _Told()
    for row in events:
        if (row["channel"], row["symbol"]) != (channel, symbol) or row["from_update_id"] is None:
            continue
        first, last = row["from_update_id"], row["to_update_id"]
        if row["event"] == "new_numbering":
            told.numberings += 1
        elif row["event"] in ("gap", "healed", "refused_row"):
            span = set(range(first, min(last, first + 10_000_000) + 1))
            into = {"gap": told.gaps, "healed": told.healed, "refused_row": told.refused}[row["event"]]
            if row["event"] == "gap":
                told.doubled |= told.gaps & span
            into |= span
    return told


def _spans(channel: str, rows: Rows) -> list[tuple[int, int, Any]]:
    if channel == "trades":
        return [(row["trade_id"], row["trade_id"], (row["price"], row["quantity"])) for row in rows]
    return [(row["first_update_id"], row["last_update_id"], len(row["bids"]) + len(row["asks"])) for row in rows]


def _ids(sent: list[Sent], *, good: bool | None = None) -> set[int]:
    return {number for message in sent if good in (None, message.is_good) for number in range(message.first, message.last + 1)}


def _surely(sent: list[Sent], *, good: bool) -> set[int]:
    certain = (message for message in sent if message.is_good is good and message.is_certain)
    return {number for message in certain for number in range(message.first, message.last + 1)}


def _each(words: str, ids: set[int]) -> Iterator[str]:
    if ids:
        yield f"{words}: {len(ids)} ids, {sorted(ids)[:_NAMED]}"
