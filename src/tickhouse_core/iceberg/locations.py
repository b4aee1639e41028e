"""An object's place as Iceberg names it, and back: `s3://bucket/key`, or `file:///…/lake/key` of a data folder."""

import os
from pathlib import Path
from urllib.parse import unquote

from tickhouse_core.object_store import ObjectStore

FOLDER = "iceberg"
"""Of the lake: catalogue and metadata of its tables are in it, beside the data. Nothing is notified of it."""

_DATA = "data_sources"


class Locations:
    """Of one lake. `root` has no slash at its end."""

    def __init__(self, store: ObjectStore) -> None:
        data = store.where(_DATA)
        self.is_local = "://" not in data
        if self.is_local:
            self.root = f"file://{os.path.realpath(Path(data).parent)}"
        else:
            self.root = data.removesuffix(f"/{_DATA}")
        self._store = store
        self._before = store.where("x").removesuffix("x")

    @property
    def folder(self) -> str:
        """Of all tables; a path on this machine, or a URI."""
        return f"{self.root.removeprefix('file://')}/{FOLDER}"

    def of(self, key: str) -> str:
        return f"{self.root}/{self._store.where(key).removeprefix(self._before)}"

    def key(self, location: str) -> str:
        """The other way, of a location below `root`."""
        path = location.removeprefix(f"{self.root}/")
        return "/".join(map(unquote, path.split("/"))) if self.is_local else path

    def of_table(self, name: str) -> str:
        return f"{self.root}/{FOLDER}/{name}"
