"""A further channel is a dataset, a record, a few lines a venue and a schema file: added to a copy of the sources, and loaded."""

import re
import shutil
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT
from tests.commands import run_python

from .edits import EDITS

TABLES = "sql/clickhouse/schema/9999_average_prices.sql"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy that has the channel; what follows from the code is written anew."""
    copy = tmp_path / "copy"
    for folder in ("src", "sql", "resources", "tools"):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name, edits in EDITS.items():
        text = (copy / name).read_text(encoding="utf-8")
        for there, instead in edits:
            assert text.count(there) == 1, f"{name}: {there}"
            text = text.replace(there, instead)
        (copy / name).write_text(text, encoding="utf-8")
    shutil.copy(Path(__file__).with_name("average_prices.sql"), copy / TABLES)
    for tool in ("make_sql.py", "make_aws.py"):
        run_python(str(copy / "tools" / tool), environment={"PYTHONPATH": str(copy / "src")})
    return copy


def test_the_guide_names_every_file_and_no_more_than_six() -> None:
    (guide,) = re.findall(
        r"^- To add a channel, (.*?)(?=^- )", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.S | re.M
    )
    files = {*EDITS, TABLES}
    assert len(files) <= 6
    for named in ("tickhouse_core/datasets.py", "extract_process/records.py", "ws.py", "sql/clickhouse/schema"):
        assert f"`{named}`" in guide
        files = {file for file in files if named not in file}
    assert files == set()


@pytest.mark.slow
def test_its_rows_are_in_a_warehouse_that_was_there_before_and_accounted_for(sources: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    run_python("-m", "tickhouse", "migrate", "--data", str(data))
    with_channel = partial(run_python, environment={"PYTHONPATH": str(sources / "src"), "TICKHOUSE_DATA": str(data)})
    with_channel(str(Path(__file__).with_name("record.py")), str(data / "lake"))
    assert with_channel("-m", "tickhouse", "migrate").stdout == "2 schema files applied\n", "the tables and the views"
    with_channel("-m", "tickhouse", "reconcile", "--min-age", "0")
    asked = (
        "select venue, arraySort(groupArray(toUnixTimestamp64Micro(event_time) % 10)), any(price) "
        "from average_prices group by venue"
    )
    assert with_channel("-m", "tickhouse", "query", asked).stdout.splitlines()[1:] == [
        "binance\t[1,2,3,4]\t25776.86",
    ]
    audit = with_channel("-m", "tickhouse", "audit").stdout
    assert re.findall(r"^average_prices\s+ok\s+2$", audit, re.M), audit
    template = (sources / "resources/aws/tickhouse.yaml").read_text(encoding="utf-8")
    assert "data_sources/average_prices/" in template
