"""Files that come with the code: SQL, default markets, checks, dashboards, schemas and the page's assets.

They are package data, the same in a checkout and in a wheel: `tickhouse_core/data` links to `sql/clickhouse` and `resources`.
"""

from importlib.resources import files
from pathlib import Path


def packaged(package: str, name: str) -> Path:
    """A file or folder inside an installed package. Raises TypeError where packages are imported out of an archive."""
    found = files(package).joinpath(name)
    if not isinstance(found, Path):
        raise TypeError(f"{package} is not unpacked on disk: install tickhouse with pip or uv")
    return found


SQL_ROOT = packaged("tickhouse_core", "data/sql")
"""sql/clickhouse: schema, views, gold, checks, status, transform."""

RESOURCES = packaged("tickhouse_core", "data/resources")
