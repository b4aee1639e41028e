"""Parts of the pipeline beside each other in one process, each in a thread of its own that can be stopped and started again."""

import threading
from collections.abc import Callable

from tickhouse_core.errors import TickhouseError
from tickhouse_core.lifecycle import StopRequest

Work = Callable[[StopRequest], object]


class Part:
    """One part. `work` runs until its stop is asked for."""

    def __init__(self, name: str, work: Work, *, on_end: Callable[[], object] = lambda: None) -> None:
        self.name = name
        self._work = work
        self._on_end = on_end
        self._stop = StopRequest()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._stop, self._failure = StopRequest(), None
        self._thread = threading.Thread(target=self._run, name=self.name)
        self._thread.start()

    def stop(self, seconds: float = 60) -> None:
        """Asks and waits; raises what the part ended with."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                raise TickhouseError(f"{self.name} did not end within {seconds:.0f} s")
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _run(self) -> None:
        try:
            self._work(self._stop)
        except BaseException as failure:  # noqa: BLE001  # raised again by `stop`
            self._failure = failure
        finally:
            self._on_end()
