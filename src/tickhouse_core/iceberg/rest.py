"""A REST catalogue as we use it: no request waits without end, and tables come with all of their snapshots."""

from functools import partial
from typing import Any

from pyiceberg.catalog.rest import SNAPSHOT_LOADING_MODE, RestCatalog
from requests import Session

TIMEOUT_SECONDS = 60
"""Until an answer begins or goes on."""


class PatientRestCatalog(RestCatalog):
    """pyiceberg's own waits for a server that is silent until somebody kills the process.

    In the mode `refs` a table has only snapshots that a branch names. Objects of all others would be released then, and the next
    compaction would delete them.
    """

    def __init__(self, name: str, **properties: Any) -> None:
        super().__init__(name, **(properties | {SNAPSHOT_LOADING_MODE: "all"}))
        self.properties[SNAPSHOT_LOADING_MODE] = "all"  # also where the server's configuration has another

    def _create_session(self) -> Session:
        """A private name of pyiceberg: its version is pinned to a minor release."""
        session = super()._create_session()
        vars(session)["request"] = partial(session.request, timeout=TIMEOUT_SECONDS)
        return session
