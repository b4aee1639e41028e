"""Runs in the peers' environment: hftbacktest's converter over the files of `tickhouse export tardis-csv`; prints what it made.

python tardis_conversion.py EXPORT
"""

import json
import sys
from pathlib import Path

import numpy as np
from hftbacktest.data.utils import tardis

KINDS = {"updates": 1, "trades": 2, "clears": 3, "snapshots": 4}
EXCHANGE = 1 << 31


def main() -> None:
    export = Path(sys.argv[1])
    days = sorted({path.name.split("_")[-2] for path in export.glob("*.csv.gz")})
    found = dict.fromkeys(KINDS, 0)
    for day in days:
        files = [str(path) for kind in ("trades", "incremental_book_L2") for path in export.glob(f"*_{kind}_{day}_*.csv.gz")]
        events = tardis.convert(files, buffer_size=1_000_000, ss_buffer_size=100_000)
        seen = events["ev"][(events["ev"] & EXCHANGE) > 0] & 0xFF
        for name, kind in KINDS.items():
            found[name] += int(np.count_nonzero(seen == kind))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
