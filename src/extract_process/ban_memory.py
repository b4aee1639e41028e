"""Remembers on disk until when a venue has shut this address out, so that a restart does not ask again."""

from pathlib import Path
from urllib.parse import quote

import orjson

from tickhouse_core.errors import UsageError, VenueBanned
from tickhouse_core.timestamps import format_instant


class BanMemory:
    """One small file per venue and host in the spool folder; written whole or not at all."""

    def __init__(self, folder: Path, venue: str, host: str) -> None:
        """`host` keeps a ban by a simulator or a proxy apart from one by the venue itself."""
        self._path = folder / f"{venue}-{quote(host)}-ban.json"

    def remember(self, ban: VenueBanned) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        draft.write_bytes(orjson.dumps({"until_us": ban.until_us, "why": str(ban)}))
        draft.replace(self._path)

    def remembered(self, now_us: int) -> VenueBanned | None:
        """The ban that still lasts, if there is one. Raises UsageError where the file is not ours."""
        try:
            ban = orjson.loads(self._path.read_bytes())
            until_us, why = int(ban["until_us"]), str(ban["why"])
        except FileNotFoundError:
            return None
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{self._path} cannot be read ({error}): remove it if no ban is running") from error
        if now_us >= until_us:
            return None
        return VenueBanned(f"still shut out until {format_instant(until_us)}, asking nothing: {why}", until_us)
