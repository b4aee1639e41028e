"""The trades of a symbol with times that a backtest can replay, batch by batch. Exact."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tickhouse.export.job import Job
from tickhouse.export.receipt_times import ReceiptTimes
from tickhouse.export.survey import Survey
from tickhouse_core.datasets import TRADES
from tickhouse_core.reading.ordering import Numbers, whole_numbers


@dataclass(frozen=True, slots=True)
class Trades:
    """In the order of their ids. Times in microseconds: `event` is the venue's, `venue` and `local` ascend."""

    ids: Numbers
    event: Numbers
    venue: Numbers
    local: Numbers
    prices: pa.Array
    quantities: pa.Array
    is_buyer_maker: npt.NDArray[np.bool_]

    def kept(self, keep: npt.NDArray[np.bool_]) -> "Trades":
        """Some of them."""
        numbers = self.ids[keep], self.event[keep], self.venue[keep], self.local[keep]
        mask = pa.array(keep, pa.bool_())
        return Trades(*numbers, self.prices.filter(mask), self.quantities.filter(mask), self.is_buyer_maker[keep])


class TradeStory:
    """One pass over the trades of a symbol."""

    def __init__(self, job: Job, survey: Survey) -> None:
        self._job = job
        self._times = ReceiptTimes(survey.least_latency or 0)

    @property
    def late(self) -> int:
        """Trades that were given another time of receipt."""
        return self._times.late

    def batches(self) -> Iterator[Trades]:
        """Raises LakeUnavailable, AccessRefused."""
        for table in self._job.scan(TRADES).tables():
            ids, event, received = (whole_numbers(table.column(name)) for name in ("trade_id", "trade_time", "receipt_time"))
            venue, local = self._times.ascending(event, received)
            prices, quantities = (pa.concat_arrays(table.column(name).chunks) for name in ("price", "quantity"))
            maker = table.column("is_buyer_maker").to_numpy()
            yield Trades(ids, event, venue, local, prices, quantities, maker.astype(bool))
