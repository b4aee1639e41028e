import json
import logging

import pytest

from tickhouse_core import logs
from tickhouse_core.settings import LogSettings, WarehouseSettings


def configure(level: str = "INFO", form: str = "text") -> logging.Logger:
    logs.configure(LogSettings.model_validate({"level": level, "format": form}))
    return logging.getLogger("extract_process.tests")


def test_text_is_one_line_with_time_level_logger_message_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure().info("month landed", extra={"key": "a/b.parquet", "new_rows": 7})
    time, rest = capsys.readouterr().err.split(" ", 1)
    assert rest == "INFO extract_process.tests: month landed key=a/b.parquet new_rows=7\n"
    assert time.endswith("Z")


def test_what_a_stranger_sent_stays_inside_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure().warning("refused\nframe", extra={"detail": "币\x1b[31m\r\nroot", "size": 3})
    assert capsys.readouterr().err.endswith(r"refused\nframe detail=币\x1b[31m\r\nroot size=3" + "\n")


def test_json_is_one_parsable_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = configure(form="json")
    log.info('say "hi" %s', "there\nfriend", extra={"rows": 7, "instant": 1.5, "nothing": None})
    log.warning("second")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "INFO",
        "logger": "extract_process.tests",
        "message": 'say "hi" there\nfriend',
        "rows": 7,
        "instant": 1.5,
        "nothing": None,
    }
    assert (second["level"], second["message"]) == ("WARNING", "second")


def test_a_field_that_json_does_not_know_is_written_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure(form="json").info("x", extra={"why": ValueError("broken")})
    assert json.loads(capsys.readouterr().err)["why"] == "broken"


def test_an_exception_stays_inside_its_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = configure(form="json")
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("it failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["exception"].endswith("ValueError: broken")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_without_an_exception_may_say_so(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """asyncio logs what it complains about with `exc_info=False`."""
    configure(form=form).error("Task was destroyed but it is pending!", exc_info=False)
    (line,) = capsys.readouterr().err.splitlines()
    assert "Task was destroyed" in line


def test_below_the_level_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    log = configure(level="WARNING")
    log.info("quiet")
    log.warning("loud")
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == ["loud"]


def test_chatty_libraries_speak_from_warning_up(capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="DEBUG")
    logging.getLogger("httpx").info("HTTP Request: GET /")
    logging.getLogger("botocore.auth").debug("signature")
    logging.getLogger("botocore").warning("careful")
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == ["careful"]


def test_configuring_again_replaces_the_handler_instead_of_doubling_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    configure(form="json").info("once")
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_logged_settings_do_not_tell_the_password(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = WarehouseSettings.model_validate({"password": "hunter2", "host": "warehouse"})
    configure(form=form).info("connecting", extra={"settings": settings})
    written = capsys.readouterr().err
    assert "warehouse" in written
    assert "hunter2" not in written
