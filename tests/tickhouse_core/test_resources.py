"""Package data: found from any folder, and the same files as in the tree."""

from pathlib import Path

import pytest
from conftest import ROOT

from tickhouse_core.resources import RESOURCES, SQL_ROOT, packaged


@pytest.mark.parametrize(("data", "tree"), [(SQL_ROOT, ROOT / "sql" / "clickhouse"), (RESOURCES, ROOT / "resources")])
def test_the_files_of_the_package_are_those_of_the_tree(data: Path, tree: Path) -> None:
    assert data.samefile(tree)


def test_a_file_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert packaged("status_page", "assets/index.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (SQL_ROOT / "schema" / "0001_ops.sql").is_file()


def test_packages_inside_an_archive_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zipfile import ZipFile

    with ZipFile(tmp_path / "packages.zip", "w") as archive:
        archive.writestr("archived_package/__init__.py", "")
    monkeypatch.syspath_prepend(str(tmp_path / "packages.zip"))
    with pytest.raises(TypeError, match="archived_package is not unpacked on disk"):
        packaged("archived_package", "assets")
