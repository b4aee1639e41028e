"""Names that are HTML, in a real browser: whoever may write to the lake chooses them, and the page shows them as text."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from integration_tests.src.status_page.conftest import expect
from tests.waiting import patience

from status_page.server import running_page
from tickhouse_core.settings import StatusSettings
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake
    from playwright.sync_api import Browser

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def test_a_name_that_is_html_is_shown_as_it_is(moto_lake: "Lake", warehouse: Warehouse, browser: "Browser") -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    event = dict.fromkeys(("venue", "symbol", "channel", "instance", "cause", "detail"), HOSTILE)
    span = {"started_at": now - timedelta(minutes=2), "ended_at": now - timedelta(minutes=1)}
    warehouse.insert_rows("bronze_stream_events", [{**event, **span, "event": "gap", "object_key": "x"}])
    complaints: list[str] = []
    with running_page(StatusSettings(port=0)) as url:
        page = browser.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        expect(page.locator("#events")).to_contain_text("<img src=x", timeout=patience(30) * 1_000)
        assert page.locator("img[src=x], #events script").count() == 0
        assert "owned" not in page.title()
        page.close()
    assert [words for words in complaints if "Content Security Policy" in words or "owned" in words] == []
