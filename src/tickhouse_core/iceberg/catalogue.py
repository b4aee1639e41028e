"""Opens the catalogue of a lake, and its tables: one per dataset. pyiceberg's errors in our words."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tickhouse_core.datasets import DATASETS, KLINES, Dataset
from tickhouse_core.errors import AccessRefused, CatalogUnavailable, TickhouseError, UsageError
from tickhouse_core.iceberg.locations import FOLDER, Locations
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.settings import AwsSettings, CatalogSettings, read

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyiceberg.typedef import RecursiveDict

NAME = "tickhouse"
"""Of the catalogue in pyiceberg's own configuration: PYICEBERG_CATALOG__TICKHOUSE__…"""

TABLES = tuple(dataset for dataset in DATASETS if dataset is not KLINES and (dataset.is_captured or not dataset.longest_step_us))
"""Datasets with compacted objects. The object of a month of a history is written anew while the month lasts: none can hold it."""

WITHOUT_TABLE = "klines, funding_rates and open_interest with a period are not registered: objects of a month are rewritten"

_FILE, _SQLITE = "catalog.db", "sqlite:///"
_MOVED = f"for a data folder that was moved delete its lake/{FOLDER}, snapshots end with it"
_HOW_TO_INSTALL = "the package pyiceberg is not here: pip install 'tickhouse[catalog]'"
_HOW_TO_NAME = (
    "no catalogue is named: --catalog-uri or TICKHOUSE_CATALOG_URI (sqlite:///…, postgresql+psycopg2://…, https://… of a REST "
    "catalogue), or pyiceberg's own PYICEBERG_CATALOG__TICKHOUSE__TYPE=glue"
)


class Catalogue:
    """Of one lake. Its tables are loaded anew at every question: another process may have committed."""

    def __init__(self, catalog: "Catalog", namespace: str, locations: Locations) -> None:
        self.locations = locations
        self._catalog, self._namespace = catalog, namespace

    def table(self, dataset: Dataset) -> "Table | None":
        """None where nothing was registered yet. Raises CatalogUnavailable, UsageError for the table of another lake."""
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

        with catalog_errors(self._what(dataset)):
            try:
                table = self._catalog.load_table((self._namespace, dataset.name))
            except (NoSuchTableError, NoSuchNamespaceError):
                return None
            except FileNotFoundError as error:
                raise UsageError(f"{self._what(dataset)}: its metadata is not where the catalogue says; {_MOVED}") from error
        return self._own(dataset, table)

    def make(self, dataset: Dataset) -> None:
        """The table, where there is none. Raises CatalogUnavailable, UsageError of a catalogue that puts it elsewhere."""
        from pyiceberg.exceptions import NoSuchNamespaceError, TableAlreadyExistsError

        with catalog_errors(self._what(dataset)), suppress(TableAlreadyExistsError):
            try:
                table = self._create(dataset)
            except NoSuchNamespaceError:  # made only here: not every user of a catalogue may do that
                self._catalog.create_namespace_if_not_exists(self._namespace)
                table = self._create(dataset)
            self._check_place(dataset, table)

    def _create(self, dataset: Dataset) -> "Table":
        from tickhouse_core.iceberg.tables import properties_of, schema_of, spec_of

        return self._catalog.create_table(
            (self._namespace, dataset.name),
            schema_of(dataset),
            location=self.locations.of_table(dataset.name),
            partition_spec=spec_of(dataset),
            properties=properties_of(dataset),
        )

    def _check_place(self, dataset: Dataset, made: "Table") -> None:
        """Of a table that is new: dropped again where it is not where it was wanted."""
        wanted = self.locations.of_table(dataset.name)
        if made.location() == wanted:
            return
        said = f"{self._what(dataset)}: the catalogue put it at {made.location()} instead of {wanted}"
        with catalog_errors(f"{said}, and does not drop it"):
            self._catalog.drop_table((self._namespace, dataset.name))
        raise UsageError(f"{said}: set the catalogue so that its clients name the locations of tables, or use another one")

    def _own(self, dataset: Dataset, table: "Table") -> "Table":
        mine = self.locations.of_table(dataset.name)
        if table.location() == mine:
            return table
        raise UsageError(
            f"{self._what(dataset)} is that of another lake, at {table.location()} instead of {mine}: name a namespace of its "
            f"own (TICKHOUSE_CATALOG_NAMESPACE); {_MOVED}"
        )

    def _what(self, dataset: Dataset) -> str:
        return f"table {self._namespace}.{dataset.name} of the catalogue"


def open_catalogue(store: ObjectStore, uri: str | None = None, *, must_exist: bool = False, is_dry: bool = False) -> Catalogue:
    """By `uri`, else by the settings, else the SQLite file in the data folder's lake.

    `must_exist`: a reader makes none. `is_dry`: instead of an SQLite file that is not there one in memory.

    Raises UsageError for what is not named, not there or not installed; CatalogUnavailable.
    """
    try:
        from pyiceberg.utils.config import Config
    except ModuleNotFoundError as error:
        raise UsageError(_HOW_TO_INSTALL) from error
    settings, locations = read(CatalogSettings), Locations(store)
    named = uri or settings.uri
    if locations.is_local and (odd := sorted(set(locations.root) & set("%#?"))):
        raise UsageError(
            f"{locations.root}: Iceberg's addresses cannot have {' '.join(odd)} in a folder's name: rename the folder"
        )
    with catalog_errors("the catalogue"):
        configured = Config().get_catalog_config(NAME) or {}
        if not named and not configured:
            if not locations.is_local:
                raise UsageError(_HOW_TO_NAME)
            named = _own_file(Path(locations.folder), must_exist=must_exist, is_dry=is_dry)
        if is_dry and named and named.startswith(_SQLITE) and not Path(named.removeprefix(_SQLITE)).exists():
            named = "sqlite://"
        properties = {"uri": named} if named else {}
        catalog = _load(configured, properties | ({} if locations.is_local else _s3_properties()))
    return Catalogue(catalog, settings.namespace, locations)


def _load(configured: "RecursiveDict", properties: dict[str, str]) -> "Catalog":
    """`properties` count above what pyiceberg's own configuration says."""
    from pyiceberg.catalog import load_catalog
    from pyiceberg.utils.config import merge_config

    merged = merge_config(configured, {**properties})
    kind = merged.get("type") or ("rest" if str(merged.get("uri")).startswith("http") else None)
    if str(kind).lower() != "rest" or "uri" not in merged:
        return load_catalog(NAME, **properties)
    from tickhouse_core.iceberg.rest import PatientRestCatalog

    return PatientRestCatalog(NAME, **merged)


def _own_file(folder: Path, *, must_exist: bool, is_dry: bool) -> str:
    file = folder / _FILE
    if must_exist and not file.exists():
        raise UsageError(f"{file}: there is no catalogue of this lake yet: `tickhouse catalog` makes it")
    if not is_dry:
        folder.mkdir(parents=True, exist_ok=True)
    return f"{_SQLITE}{file}"


def _s3_properties() -> dict[str, str]:
    """Where S3 is, as boto3 finds it; pyarrow takes credentials from the same places itself."""
    aws = read(AwsSettings)
    found = {
        "s3.endpoint": aws.endpoint_url_s3 or aws.endpoint_url,
        "s3.region": aws.default_region,
        "s3.access-key-id": aws.access_key_id,
        "s3.secret-access-key": aws.secret_access_key,
        "s3.session-token": aws.session_token,
    }
    return {name: value for name, value in found.items() if value}


@contextmanager
def catalog_errors(what: str) -> Iterator[None]:
    """Maps the errors of pyiceberg and of what is below it; a commit that lost passes: who commits begins again."""
    try:
        yield
    except (TickhouseError, _lost_commit()):
        raise
    except _foreign_errors() as error:
        said = f"{what}: {' '.join(str(error).split())[:300] or type(error).__name__}"
        if type(error).__name__ in ("UnauthorizedError", "ForbiddenError", "AuthorizationExpiredError"):
            raise AccessRefused(f"{said}; check the catalogue's credentials") from error
        raise CatalogUnavailable(said) from error


def _lost_commit() -> type[Exception]:
    from pyiceberg.exceptions import CommitFailedException

    return CommitFailedException


def _foreign_errors() -> tuple[type[Exception], ...]:
    """Of what is loaded: an error of a library that is not cannot be raised."""
    from pyiceberg import exceptions

    found = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    found += [OSError, ValueError]  # Arrow's, requests' and botocore's are among them
    for module, name in (("sqlalchemy.exc", "SQLAlchemyError"), ("botocore.exceptions", "BotoCoreError")):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)
