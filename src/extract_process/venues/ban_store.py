"""Remembers on disk until when a venue has shut this address out, so that a restart does not ask again."""

import os
from pathlib import Path
from urllib.parse import quote

import orjson

from tickhouse_core.errors import UsageError, VenueBanned
from tickhouse_core.files import write_durably
from tickhouse_core.timestamps import DAY_US, format_instant

LONGEST_BAN_US = 3 * DAY_US
"""Binance bans for two minutes to three days; KuCoin's firewall for less. What claims to last longer is not believed."""


class BanStore:
    """One small file per venue and host in the spool folder; written whole or not at all, a power cut included."""

    def __init__(self, folder: Path, venue: str, host: str) -> None:
        """`host` keeps a ban by a simulator or a proxy apart from one by the venue itself."""
        self._path = folder / f"{venue}-{quote(host)}-ban.json"

    def remember(self, ban: VenueBanned) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self._path, orjson.dumps({"until_us": ban.until_us, "why": str(ban)}))

    def remembered(self, now_us: int) -> VenueBanned | None:
        """The ban that still lasts, if there is one; never longer than the longest ban after the file was written.

        Raises UsageError where the file is not ours.
        """
        try:
            with self._path.open("rb") as file:
                ban, written_us = orjson.loads(file.read()), os.fstat(file.fileno()).st_mtime_ns // 1_000
            until_us, why = min(int(ban["until_us"]), written_us + LONGEST_BAN_US), str(ban["why"])
        except FileNotFoundError:
            return None
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{self._path} cannot be read ({error}): remove it if no ban is running") from error
        if now_us >= until_us:
            return None
        return VenueBanned(f"still shut out until {format_instant(until_us)}, asking nothing: {why}", until_us)
