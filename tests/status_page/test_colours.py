"""The page's colours for eyes that see them differently: how far apart those are that say different things, in both themes.

Colour blindness is simulated as by Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
Deficiency" (2009), severity 1. Distances are those of Oklab (Ottosson 2020; CSS Color 4 calls 0.02 just noticeable), contrast is
that of WCAG 2.
"""

import itertools
import math
import re
from collections.abc import Sequence

import pytest

from status_page.app import ASSETS

Colour = tuple[float, ...]
"""Red, green, blue: linear light, 0 to 1."""

EYES = {
    "every cone": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
STATES = ("state-ok", "state-degraded", "state-down", "idle")
APART = {
    "the states": ([f"{state}-back" for state in STATES], 0.06),
    "rising and falling candles, bids and asks": (["up", "down"], 0.12),
    "how much of a time is there": (["full", "most", "some", "none"], 0.09),
    "a gap, a stretch without anything, and a healed one": (["down", "quiet", "most"], 0.06),
}
"""Of each group the variables, and the least distance between any two of them."""

ON = {
    **{state: f"{state}-back" for state in STATES},
    "full-mark": "full",
    "some-mark": "some",
    **dict.fromkeys(("text", "quiet", "link", "up", "down"), "card"),
}
"""Text, and what it stands on. The mark of a gap stands on two more."""

LEAST_CONTRAST = 4.5


def test_the_simulation_is_the_published_one() -> None:
    """White stays white; pure red and a certain green are one colour without the first cone's help, and are not with it."""
    for eyes in EYES.values():
        assert _times(eyes, (1.0, 1.0, 1.0)) == pytest.approx((1.0, 1.0, 1.0), abs=1e-5)
    assert _distance("#c00000", "#4e4e00", "every cone") > 0.15
    assert _distance("#c00000", "#4e4e00", "protanopia") < 0.03


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("group", APART)
def test_colours_that_say_different_things_are_told_apart(group: str, theme: str, eyes: str) -> None:
    names, least = APART[group]
    colours = variables()[theme]
    close = {pair: _distance(colours[pair[0]], colours[pair[1]], eyes) for pair in itertools.combinations(names, 2)}
    assert {pair: distance for pair, distance in close.items() if distance < least} == {}


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_contrast_to_what_it_stands_on(theme: str, eyes: str) -> None:
    colours = variables()[theme]
    pairs = [*ON.items(), ("mark", "most"), ("mark", "none"), ("text", "back"), ("quiet", "back"), ("link", "back")]
    found = {pair: _contrast(colours[pair[0]], colours[pair[1]], eyes) for pair in pairs}
    assert {pair: contrast for pair, contrast in found.items() if contrast < LEAST_CONTRAST} == {}


def test_both_ways_to_the_dark_theme_have_the_same_colours() -> None:
    by_system, by_choice = (_declared(block) for block in _blocks()[1:])
    assert by_system == by_choice


def variables() -> dict[str, dict[str, str]]:
    """By theme the colours of page.css by name."""
    light, _, dark = map(_declared, _blocks())
    return {"light": light, "dark": light | dark}


def _blocks() -> list[str]:
    """The light theme, the dark one by the system's choice, and by the reader's."""
    css = (ASSETS / "page.css").read_text(encoding="utf-8")
    starts = (":root", ':root:not([data-theme="light"])', ':root[data-theme="dark"]')
    found = [re.search(rf"(?:^|\) \{{ ){re.escape(start)} \{{(.*?)\}}", css, re.S | re.M) for start in starts]
    assert all(found)
    return [match[1] for match in found if match]


def _declared(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


def _light(colour: str) -> Colour:
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return tuple(channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels)


def _times(matrix: Sequence[Sequence[float]], colour: Colour) -> Colour:
    return tuple(sum(factor * part for factor, part in zip(row, colour, strict=True)) for row in matrix)


def _seen(colour: str, eyes: str) -> Colour:
    return tuple(min(1.0, max(0.0, part)) for part in _times(EYES[eyes], _light(colour)))


def _distance(one: str, other: str, eyes: str) -> float:
    lab = [_times(_OKLAB, tuple(part ** (1 / 3) for part in _times(_CONES, _seen(colour, eyes)))) for colour in (one, other)]
    return math.dist(*lab)


def _contrast(one: str, other: str, eyes: str) -> float:
    luminances = (sum(_times([(0.2126, 0.7152, 0.0722)], _seen(colour, eyes))) for colour in (one, other))
    dim, bright = sorted(luminances)
    return (bright + 0.05) / (dim + 0.05)
