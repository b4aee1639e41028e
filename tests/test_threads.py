"""The check that no test leaves a thread of ours running."""

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.threads import still_running


def test_our_thread_that_goes_on_is_named_and_a_librarys_is_not() -> None:
    before, over = set(threading.enumerate()), threading.Event()

    def wait_for_the_end() -> None:
        over.wait()

    ours = threading.Thread(target=wait_for_the_end, name="uploader")
    ours.start()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(over.wait)
        assert still_running(before, 0.01) == ["uploader"]
        over.set()
    assert still_running(before) == []
