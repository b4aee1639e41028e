"""Alert rules and the Grafana dashboard: every figure they name is one a process tells, and every alert has been seen to fire."""

import json
import logging
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from extract_process.live import metrics as live_metrics
from extract_process.live.metrics import Vitals, samples_of
from load_process.loader import outage_of
from load_process.metrics import LoadCounts
from tickhouse_core.metrics import Component, Observed
from transform_process.metrics import TransformCounts

FOLDER = Path(__file__).resolve().parents[1] / "resources" / "dashboards"
OTHERS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""Prometheus's own, and those of its client library."""


def told() -> set[str]:
    transforms = TransformCounts()
    transforms.on_window("ohlcv", 1, 1)
    samples = [*LoadCounts("q", outage_of(logging.getLogger("q"), "q")).samples(), *transforms.samples()]
    for process in ("stream", "mirror"):
        samples += samples_of(Vitals(process, "binance", "main", dict.fromkeys(live_metrics._HELP, 0.0)))
    observed = Observed()
    observed.add(Component("loader", list, list))
    return {sample.name for sample in [*samples, *observed.samples()]} | OTHERS


def named(expression: str) -> set[str]:
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|by \([^)]*\)', "", expression)
    return {
        word for word in re.findall(r"[a-z_]{2,}", bare) if word not in ("time", "rate", "increase", "sum", "min", "max", "by")
    }


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    assert found
    return found


def test_alerts_ask_for_figures_that_exist_and_say_what_to_do() -> None:
    for rule in rules():
        assert set() < named(rule["expr"]) <= told(), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "action"}
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_panels_ask_for_figures_that_exist() -> None:
    dashboard = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 15
    assert all(set() < named(expression) <= told() for expression in expressions)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() -> None:
    cases = yaml.safe_load((FOLDER / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    expected = [(case["alertname"], bool(case["exp_alerts"])) for test in cases for case in test["alert_rule_test"]]
    assert set(expected) == {(rule["alert"], fires) for rule in rules() for fires in (True, False)}


def test_the_cases_hold() -> None:
    """Where promtool (of Prometheus) is installed; the tests above hold everywhere."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool: the cases of alerts_test.yml are not evaluated")
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
