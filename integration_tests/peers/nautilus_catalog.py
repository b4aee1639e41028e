"""Runs in the peers' environment: NautilusTrader reads an export's catalog back, and prints what it found, for a test to compare.

python nautilus_catalog.py EXPORT INSTRUMENT OUT.json
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.data import Bar, OrderBookDelta, TradeTick
from nautilus_trader.model.enums import BookType
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.persistence.catalog import ParquetDataCatalog


def main() -> None:
    export, instrument, out = sys.argv[1:]
    catalog = ParquetDataCatalog(export)
    found: dict[str, Any] = {"instruments": [str(one) for one in catalog.instruments()]}
    found["trades"] = [
        [str(one.price), str(one.size), one.aggressor_side.name, str(one.trade_id), one.ts_event, one.ts_init]
        for one in catalog.query(TradeTick, identifiers=[instrument])
    ]
    deltas = catalog.query(OrderBookDelta, identifiers=[instrument])
    found["deltas"] = [
        [one.action.name, one.order.side.name if one.order else "", str(one.order.price) if one.order else "",
         str(one.order.size) if one.order else "", one.flags, one.sequence, one.ts_event, one.ts_init]
        for one in deltas
    ]  # fmt: skip
    book = OrderBook(InstrumentId.from_str(instrument), BookType.L2_MBP)
    for delta in deltas:
        book.apply_delta(delta)
    found["book"] = {
        "bids": [[str(level.price), str(level.size())] for level in book.bids()],
        "asks": [[str(level.price), str(level.size())] for level in book.asks()],
    }
    found["bars"] = [[str(one.open), str(one.volume), one.ts_event] for one in catalog.query(Bar)]
    found["actions"] = dict(Counter(delta[0] for delta in found["deltas"]))
    Path(out).write_text(json.dumps(found))
    print(json.dumps({"trades": len(found["trades"]), "deltas": len(found["deltas"])}))


if __name__ == "__main__":
    main()
