"""How a candle and its volume look, in a real browser, by pixels: rising, falling, incomplete ones differ without colour."""

from typing import TYPE_CHECKING, Any

import pytest
from integration_tests.src.status_page.conftest import put_on_stage

if TYPE_CHECKING:
    from playwright.sync_api import Page

KINDS = {
    "rising": (90, 110, True),
    "falling": (110, 90, True),
    "rising, incomplete": (90, 110, False),
    "falling, incomplete": (110, 90, False),
}
"""Open, close, whether complete; all have wicks from 70 to 130."""

INKS = """async ([open, close, isComplete, theme, steps, top, bottom]) => {
  document.documentElement.dataset.theme = theme;
  const { candleChart } = await import('/assets/candles.js');
  const box = document.createElement('div');
  box.style.cssText = 'position: fixed; left: 0; top: 0; width: 600px; height: 400px; z-index: 9';
  document.getElementById('drawn')?.remove();
  box.id = 'drawn';
  document.body.append(box);
  const chart = candleChart(box);
  chart.clear(60);
  const klines = Array.from({ length: steps }, (_, step) => [step * 60e6, open, 130, 70, close, 1, isComplete, 'trades']);
  chart.add({ since: 0, until: steps * 60e6, klines, gaps: [], before: 0, after: 0 });
  chart.look(-30, (steps - 0.5) * 60);
  for (let frame = 0; frame < 3; frame++) await new Promise((done) => requestAnimationFrame(done));
  const canvas = box.querySelector('canvas');
  const width = canvas.width, height = Math.floor(canvas.height * (bottom - top));
  const { data } = canvas.getContext('2d').getImageData(0, Math.floor(canvas.height * top), width, height);
  const chroma = (x, y) => {
    const pixel = data.slice((y * width + x) * 4, (y * width + x) * 4 + 3);
    return Math.max(...pixel) - Math.min(...pixel);
  };
  const from = Math.floor(width * 0.36), to = Math.ceil(width * 0.63);
  return Array.from({ length: height }, (_, y) => Array.from({ length: to - from }, (_, x) => chroma(from + x, y)));
}"""
"""The colourfulness of each pixel around the middle candle, by rows: paper, grid and the line of the last price are grey."""


CANDLE, VOLUME = (0.0, 0.8), (0.81, 1.0)
"""Which part of the height has them."""


def inks(page: "Page", kind: str, theme: str, steps: int, part: tuple[float, float] = CANDLE) -> list[list[float]]:
    """0 where there is paper, 1 where there is full ink."""
    rows: list[list[int]] = page.evaluate(INKS, [*KINDS[kind], theme, steps, *part])
    most = max(map(max, rows))
    return [[ink / most if ink > 30 else 0 for ink in row] for row in rows]


def share(pixels: list[float], least: float) -> float:
    return sum(ink > least for ink in pixels) / len(pixels)


def looks(rows: list[list[float]]) -> dict[str, Any]:
    """Of one wide candle: how much of its left edge is inked, how much of its inside, and how strongly."""
    left, right = (find(x for row in rows for x, ink in enumerate(row) if ink) for find in (min, max))
    inked = [y for y, row in enumerate(rows) if row[left] or row[left + 1]]
    body = rows[inked[0] : inked[-1] + 1]
    inside = [ink for row in body[4:-4] for ink in row[left + 4 : right - 4]]
    outline = share([max(row[left : left + 2]) for row in body], 0.75)
    edge = "solid" if outline > 0.95 else "dashed" if 0.4 < outline < 0.8 else outline
    return {"edge": edge, "filled": share(inside, 0), "strong": share(inside, 0.75)}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_rising_is_hollow_falling_is_filled_and_incomplete_is_dashed(theme: str, page: "Page") -> None:
    put_on_stage(page, {})
    seen = {kind: looks(inks(page, kind, theme, 3)) for kind in KINDS}
    assert {kind: look["edge"] for kind, look in seen.items()} == {
        "rising": "solid",
        "falling": "solid",
        "rising, incomplete": "dashed",
        "falling, incomplete": "dashed",
    }
    for kind, look in seen.items():
        assert look["filled"] < 0.05 if "rising" in kind else look["filled"] > 0.95, kind
        assert look["strong"] > 0.95 if kind == "falling" else look["strong"] < 0.05, kind


def test_candles_too_narrow_for_a_body_are_lines_and_incomplete_ones_are_dashed(page: "Page") -> None:
    put_on_stage(page, {})
    for kind in KINDS:
        rows = inks(page, kind, "light", 300)
        inked = [row for row in rows if any(row)]
        outline = share([max(row) for row in inked], 0.6)
        assert outline > 0.95 if KINDS[kind][2] else 0.4 < outline < 0.8, kind


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_volume_is_hollow_filled_or_dashed_as_its_candle(theme: str, page: "Page") -> None:
    put_on_stage(page, {})
    seen = {kind: looks(inks(page, kind, theme, 3, VOLUME)) for kind in KINDS}
    assert {kind: look["edge"] for kind, look in seen.items()} == {
        kind: "dashed" if "incomplete" in kind else "solid" for kind in KINDS
    }
    for kind, look in seen.items():
        assert look["filled"] > 0.95 if "falling" in kind else look["filled"] < 0.05, kind


def test_volume_of_narrow_candles_is_lines(page: "Page") -> None:
    put_on_stage(page, {})
    for kind, (_, _, is_complete) in KINDS.items():
        inked = [row for row in inks(page, kind, "light", 300, VOLUME) if any(row)]
        outline = share([max(row) for row in inked], 0.6)
        assert outline > 0.95 if is_complete else 0.4 < outline < 0.8, kind
