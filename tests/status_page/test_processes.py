"""What the page hears from running processes."""

import pytest
from conftest import free_port

from status_page.processes import Processes, parse_targets
from tickhouse_core.errors import UsageError
from tickhouse_core.metrics import Component, Sample, observed


def test_targets_are_names_with_addresses() -> None:
    assert parse_targets("stream=http://a:1, loader=https://b/") == {"stream": "http://a:1", "loader": "https://b"}
    assert parse_targets("") == {}
    with pytest.raises(UsageError, match="entry 2 is not name="):
        parse_targets("stream=http://a:1 loader:9102")


def test_a_process_is_asked_for_trouble_and_figures_and_silence_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("METRICS_PORT", str(port))
    part = Component("loader", lambda: [Sample("tickhouse_x", 2, "x", {"venue": "b"})], lambda: ["S3 is away"])
    processes = Processes({"there": f"http://127.0.0.1:{port}", "gone": f"http://127.0.0.1:{free_port()}"})
    with observed(part):
        own, there, gone = processes.look()
    processes.close()
    assert (own.name, own.trouble) == ("loader", ("S3 is away",))
    assert there.trouble == ("loader: S3 is away",)
    assert list(there.value("tickhouse_x")) == [({"venue": "b"}, 2.0)]
    assert gone.trouble[0].startswith("does not answer: ")
