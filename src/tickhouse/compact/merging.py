"""PURE. Rows of one day, each once and in order: of several with one natural key the one that silver keeps."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tickhouse_core.datasets import STREAM_EVENTS, Dataset
from tickhouse_core.reading.ordering import Numbers, whole_numbers


@dataclass(frozen=True, slots=True)
class Merged:
    """`rows` by their natural key, events as they were told; `doubles` have the key of one of them."""

    rows: pa.Table
    doubles: pa.Table


def merged(dataset: Dataset, table: pa.Table) -> Merged:
    """Market data: of rows with one key the first received stays, of equal ones the first in the table. Events and
    heartbeats, which say no receipt: the last in the table.

    The table has all rows of its keys, and of a dataset with a channel the rows of one venue and symbol.
    """
    if "receipt_time" not in table.schema.names:
        places = _best(dataset, table, np.arange(table.num_rows)[::-1])
        if dataset is STREAM_EVENTS:  # what was said last counts, and no column says when that was
            places = np.sort(places)
    elif dataset.natural_key == ("venue", "symbol", dataset.id_column):
        places = _first_received(dataset, table)
    else:
        places = _best(dataset, table, np.argsort(whole_numbers(table.column("receipt_time")), kind="stable"))
    is_kept = np.zeros(table.num_rows, dtype=bool)
    is_kept[places] = True
    return Merged(table.take(places), table.filter(pa.array(~is_kept)))


def _first_received(dataset: Dataset, table: pa.Table) -> Numbers:
    """The places of the rows that stay, by id: with venue and symbol it is the natural key."""
    ids = whole_numbers(table.column(dataset.id_column))
    order = np.lexsort((whole_numbers(table.column("receipt_time")), ids))  # stable
    ids = ids[order]
    places: Numbers = order[np.r_[True, ids[1:] != ids[:-1]]]
    return places


def _best(dataset: Dataset, table: pa.Table, order: Numbers) -> Numbers:
    """The places of the rows that come first in the `order`, of each natural key, nulls included; by id, then by key."""
    keys = list(dataset.natural_key)
    ranked = table.select(keys).take(order).append_column("_rank", pa.array(np.arange(len(order))))
    best = ranked.group_by(keys, use_threads=False).aggregate([("_rank", "min")])
    ids = [(name, "ascending") for name in dict.fromkeys([dataset.id_column, *keys])]
    places: Numbers = order[whole_numbers(best.sort_by(ids).column("_rank_min"))]
    return places
