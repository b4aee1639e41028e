"""What the quantities of an export are: amounts of the base asset, or contracts and what one of them is worth."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from extract_process.venues import venue_named, venue_names
from tickhouse_core.datasets import STREAM_EVENTS
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.reading.object_rows import ObjectRows, Wanted, in_chunks
from tickhouse_core.reading.objects import day_prefix, days_of

_CHUNK_BYTES, _CHUNK_OBJECTS = 8 * 1024 * 1024, 400


def quantities_of(store: ObjectStore, venue: str, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By symbol: `unit` is `base asset` or `contract`; of contracts `contract_size` in the quote asset, None where unknown.

    The latest event `contract` counts, as in the view `contracts`. Raises LakeUnavailable, AccessRefused.
    """
    if venue not in venue_names() or not venue_named(venue).quantities_are_contracts:
        return {symbol: {"unit": "base asset"} for symbol in symbols}
    sizes = _latest_sizes(store, venue, symbols)
    return {symbol: {"unit": "contract", "contract_size": sizes.get(symbol)} for symbol in symbols}


def _latest_sizes(store: ObjectStore, venue: str, symbols: Sequence[str]) -> dict[str, str]:
    """Every start of a capture records them: the days are read from the latest one back, until all are found."""
    reader = ObjectRows(store, STREAM_EVENTS)
    found: dict[str, str] = {}
    for day in reversed(days_of(store, STREAM_EVENTS, venue)):
        missing = [symbol for symbol in symbols if symbol not in found]
        if not missing:
            break
        said = (ds.field("event") == "contract") & ds.field("symbol").isin(missing)
        wanted = Wanted(said, venue, ("event", "symbol"))
        listed = list(store.list_keys(day_prefix(STREAM_EVENTS, venue, day)))
        tables = [reader.read(chunk, wanted) for chunk in in_chunks(listed, _CHUNK_BYTES, _CHUNK_OBJECTS)]
        rows = pa.concat_tables([reader.schema.empty_table(), *tables])
        rows = rows.take(pc.sort_indices(rows, [("started_at", "ascending")]))
        found |= dict(zip(rows.column("symbol").to_pylist(), rows.column("detail").to_pylist(), strict=True))
    return found
