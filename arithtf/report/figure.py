"""Matplotlib figures as inline SVG: one style, the same bytes every time, ids that do not clash."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, FAINT = "#1b1f24", "#59616b", "#e4e2da"
BLUE, TEAL, RED, SAND = "#2b5c8a", "#1e7268", "#b23a1e", "#f1e4c3"

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "arithtf",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
"""Text stays text, so that it can be read aloud, searched and set in the page's own font."""


class Drawing:
    """A figure being drawn; `svg` is there when the `with` block has ended."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.svg = ""


@contextmanager
def drawing(name: str, label: str, width: float, height: float) -> Iterator[Drawing]:
    """Draw a figure in the report's style.

    Args:
        name: prefix of all ids in the SVG.
        label: what it shows, for those who cannot see it.
        width, height: inches; the page scales it to its own width.
    """
    with mpl.rc_context(STYLE):
        drawn = Drawing(Figure(figsize=(width, height), layout="constrained"))
        yield drawn
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        drawn.figure.savefig(buffer, format="svg", metadata=nothing)
    drawn.svg = _inline(buffer.getvalue(), name, label)


def _inline(svg: str, name: str, label: str) -> str:
    """The <svg> element alone, its ids prefixed, its size left to the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', svg)
    head, _, rest = svg.partition(">")
    box = re.search(r'viewBox="([^"]*)"', head)
    text = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return (
        f'<svg viewBox="{box.group(1) if box else ""}" role="img" aria-label="{text}" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{rest}'
    )


def bare(axes: Axes) -> None:
    """No frame and no tick marks."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def power(value: float, least: int = 10**4) -> str:
    """A length as text: 1, 10, 1,000, then 10⁴ where it is a power of ten from `least` on."""
    number = round(value)
    return ten_to(len(str(number)) - 1) if number >= least and is_power(number) else f"{number:,}"


def is_power(number: int) -> bool:
    """Whether it is 1, 10, 100, .."""
    return str(number).rstrip("0") == "1"


def ten_to(exponent: int) -> str:
    """10⁴, 10⁻³."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
