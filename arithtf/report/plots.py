"""The report's figures, each a function from numbers to SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from arithtf.evaluate import wilson
from arithtf.report.attention import Coupled
from arithtf.report.evidence import Cell, Point
from arithtf.report.figure import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    RED,
    SAND,
    TEAL,
    bare,
    drawing,
    is_power,
    power,
    ten_to,
)

WIDTH = 8.8
MINUS = "\N{MINUS SIGN}"
FEW = 10
"""Rows and columns of a heat map up to which every cell has room for its number."""

WRONG = LinearSegmentedColormap.from_list("wrong", ("#6d1206", "#b23a1e", "#e58a55", "#f6d9b0"))
WEIGHT = LinearSegmentedColormap.from_list("weight", ("#ffffff", "#c9d9e8", "#5f8fbd", "#163d63"))
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g} %")


def accuracy(points: Sequence[Point], trained: tuple[int, int], certified: bool, label: str) -> str:
    """Exact match against operand length on a log axis.

    Args:
        points: sampled and stressed results.
        trained: shortest and longest operands of the training.
        certified: every length is proved.
        label: what is seen, in words.
    """
    with drawing("accuracy", label, WIDTH, 3.3) as drawn:
        axes = drawn.figure.subplots()
        farthest = max([trained[1] * 10, *(point.length for point in points)])
        right = farthest * (6 if certified else 1.7)
        axes.set(xscale="log", xlim=(0.8, right), ylim=(-0.03, 1.08))
        _length_axis(axes, farthest)
        axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
        axes.yaxis.set_major_formatter(PERCENT)
        axes.grid(axis="y")
        axes.set(xlabel="digits of the longer operand", ylabel="answers right")
        axes.axvspan(max(trained[0], 1) * 0.85, trained[1] * 1.12, color=SAND, lw=0)
        middle = (max(trained[0], 1) * trained[1]) ** 0.5
        axes.text(middle, 0.02, "trained here", ha="center", va="bottom", color="#6b5514")
        if certified:
            axes.plot([0.8, right / 1.1], [1, 1], color="#a7cdc6", lw=5, solid_capstyle="butt")
            axes.plot(right / 1.1, 1, ">", color="#a7cdc6", ms=11, mew=0, clip_on=False)
            axes.text(
                right,
                1.13,
                "certified at every length",
                ha="right",
                va="bottom",
                color=TEAL,
                weight="bold",
            )
        _points(axes, [p for p in points if p.grade == "sampled"], "sampled", "o", BLUE, -1)
        _points(axes, [p for p in points if p.grade == "exhaustive"], "exhaustive", "s", TEAL, 0)
        _points(axes, [p for p in points if p.grade == "stressed"], "stressed", "D", INK, 1)
        if points:
            axes.legend(
                loc="lower left",
                bbox_to_anchor=(0, 1),
                ncols=3,
                handletextpad=0.3,
                borderaxespad=0,
                borderpad=0.2,
            )
    return drawn.svg


def _length_axis(axes: Axes, farthest: int) -> None:
    decades = int(np.ceil(np.log10(farthest)))
    axes.xaxis.set_major_locator(FixedLocator([10.0**i for i in range(decades + 1)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def _points(
    axes: Axes, points: Sequence[Point], grade: str, marker: str, colour: str, side: int
) -> None:
    """Results of one grade; those of one length stand a little beside each other."""
    if not points:
        return
    points = sorted(points, key=lambda point: point.length)
    x = np.array([point.length for point in points]) * 1.06**side
    y = np.array([point.share for point in points])
    if grade == "sampled":
        ends = np.array([wilson(point.right, point.count) for point in points])
        low, high = y - ends[:, 0], ends[:, 1] - y
        axes.errorbar(
            x, y, (low, high), fmt="none", ecolor=colour, elinewidth=1.2, capsize=2.5, alpha=0.8
        )
    label = grade
    for chosen, face in ((y == 1, colour), (y < 1, "white")):
        if chosen.any():
            axes.plot(
                x[chosen],
                y[chosen],
                marker,
                color=colour,
                mfc=face,
                ms=6,
                mew=1.4,
                ls="none",
                label=label,
                clip_on=False,
                zorder=3,
            )
            label = "_"  # one entry of the legend per grade


def heat(
    name: str, cells: Sequence[Cell], x_label: str, y_label: str, label: str, width: float
) -> str:
    """Exact match over two numbers: one calm colour where all is right, warm where it is not.

    Args:
        name: of the figure.
        cells: one per pair; pairs that are missing stay empty.
        x_label, y_label: what the numbers are.
        label: what is seen, in words.
        width: inches.
    """
    xs, ys = sorted({cell.x for cell in cells}), sorted({cell.y for cell in cells})
    colours = np.ones((len(ys), len(xs), 4))
    shares = np.full((len(ys), len(xs)), np.nan)
    for cell in cells:
        at = ys.index(cell.y), xs.index(cell.x)
        shares[at] = cell.share
        colours[at] = to_rgba(TEAL) if cell.share == 1 else WRONG(cell.share)
    with drawing(name, label, width, 0.85 * width) as drawn:
        axes = drawn.figure.subplots()
        bare(axes)
        few = len(xs) <= FEW
        x_edges, y_edges = np.arange(len(xs) + 1) - 0.5, np.arange(len(ys) + 1) - 0.5
        colours[np.isnan(shares)] = to_rgba("#f4f3ee")
        axes.pcolormesh(
            x_edges, y_edges, colours, edgecolors="white", linewidth=1.6 if few else 0.6
        )
        if few:
            for (row, column), share in np.ndenumerate(shares):
                if np.isnan(share):
                    continue
                light = share == 1 or share < 0.5
                text = f"{100 * share:.3g}" if share < 0.995 or share == 1 else "99+"
                axes.text(
                    column,
                    row,
                    text,
                    ha="center",
                    va="center_baseline",
                    fontsize=8,
                    color="white" if light else INK,
                )
        axes.set_xticks(*_ticks(xs), rotation=0 if few else 90)
        axes.set_yticks(*_ticks(ys))
        axes.set(xlabel=x_label, ylabel=y_label)
    return drawn.svg


def _ticks(values: Sequence[int]) -> tuple[list[int], list[str]]:
    """Places and texts of ticks: all values if they are few, else round ones in short."""
    if len(values) <= FEW:
        return list(range(len(values))), [power(value) for value in values]
    round_ones = [i for i, v in enumerate(values) if v in (1, 5, 10, 15) or is_power(v)]
    return round_ones, [power(values[i], least=100) for i in round_ones]


def margins(histogram: Mapping[str, Any], smallest: float, lower: float, label: str) -> str:
    """How many local contexts have which margin.

    Args:
        histogram: {"edges": n + 1 margins, "counts": n}.
        smallest: the smallest margin.
        lower: the smallest that rounding can leave of any margin.
        label: what is seen, in words.
    """
    edges, counts = np.array(histogram["edges"], float), np.array(histogram["counts"], float)
    with drawing("margins", label, WIDTH, 3.3) as drawn:
        axes = drawn.figure.subplots()
        right = edges[-1] + 0.02 * (edges[-1] - edges[0])
        left = min(-0.1 * right, edges[0], lower)
        axes.set(yscale="log", xlim=(left, right), ylim=(0.6, max(counts.max(), 1) * 40))
        axes.grid(axis="y")
        axes.axvspan(left, 0, color="#f6e2db", lw=0)
        axes.axvline(0, color=RED, lw=1)
        _note(axes, "wrong", (0, 0.94), (-5, 0), color=RED, ha="right", va="center")
        wrong = edges[1:] <= 0
        filled = counts > 0
        for chosen, colour in ((filled & ~wrong, BLUE), (filled & wrong, RED)):
            axes.bar(
                edges[:-1][chosen],
                counts[chosen] - 0.6,
                np.diff(edges)[chosen],
                0.6,
                align="edge",
                color=colour,
                edgecolor="white",
                linewidth=0.6,
            )
        marks = (
            (smallest, f"smallest margin {smallest:.3g}", 0.9, "bold"),
            (lower, f"rounding leaves at least {lower:.3g}", 0.79, "normal"),
        )
        for value, text, height, weight in marks:
            axes.plot(
                [value, value],
                [0, height + 0.04],
                color=INK,
                lw=1.1,
                ls="-" if weight == "bold" else (0, (3, 2)),
                transform=axes.get_xaxis_transform(),
            )
            inward = value < 0.6 * right
            beside, align = (5, "left") if inward else (-5, "right")
            at = max(lower, smallest), height
            _note(axes, text, at, (beside, 0), weight=weight, va="center", ha=align)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set(xlabel="margin in logits: right token minus best other", ylabel="local contexts")
    return drawn.svg


def _note(
    axes: Axes, text: str, at: tuple[float, float], shift: tuple[float, float], **style: Any
) -> None:
    """Text beside a place: a number of the x axis, and a share of the height."""
    where: Any = ("data", "axes fraction")
    axes.annotate(text, at, shift, xycoords=where, textcoords="offset points", **style)


def weights(coupled: Coupled, label: str) -> str:
    """Attention weights of every head: a row per token written, a column per place of a key."""
    heads, rows, slots = coupled.weights.shape
    across = max(1, min(heads, 24 // max(slots, 1)))
    down = -(-heads // across)
    with drawing("attention", label, WIDTH, down * (0.9 + 0.36 * min(rows, 24))) as drawn:
        panels = drawn.figure.subplots(down, across, squeeze=False).reshape(-1)
        for head, axes in enumerate(panels):
            if head >= heads:
                axes.set_axis_off()
                continue
            _head(axes, coupled, head)
            axes.set_yticks(range(rows), coupled.written if head % across == 0 else [""] * rows)
            if head % across == 0:
                axes.set_ylabel("token to be written")
    return drawn.svg


def _head(axes: Axes, coupled: Coupled, head: int) -> None:
    """One head: cells shaded by weight, the key's token in each."""
    weight = coupled.weights[head]
    rows, slots = weight.shape
    bare(axes)
    axes.pcolormesh(
        np.arange(slots + 1) - 0.5,
        np.arange(rows + 1) - 0.5,
        WEIGHT(weight),
        edgecolors=FAINT,
        linewidth=0.8,
    )
    axes.invert_yaxis()
    axes.set_title(f"head {head + 1}", loc="left", fontsize=9.5, weight="bold")
    for (row, slot), value in np.ndenumerate(weight):
        axes.text(
            slot,
            row,
            coupled.tokens[row][slot],
            ha="center",
            va="center_baseline",
            color="white" if value > 0.45 else (INK if value > 0.02 else MUTED),
            weight="bold" if value > 0.45 else "normal",
        )
    names = [slot.name if slot.name != "answer" else "ans" for slot in coupled.slots]
    axes.set_xticks(range(slots), names, fontsize=8.5)
    groups: dict[int | None, list[int]] = {}
    for number, slot in enumerate(coupled.slots):
        groups.setdefault(slot.difference, []).append(number)
    for difference, members in groups.items():
        name = "sink" if difference is None else f"{difference:+d}".replace("-", MINUS)
        middle = (members[0] + members[-1]) / 2
        name = "0" if difference == 0 else name
        style = {"ha": "center", "va": "top", "fontsize": 8.5, "color": MUTED}
        _note(axes, name, (middle, 0), (0, -19), annotation_clip=False, **style)
        if members[0] > 0:
            axes.axvline(members[0] - 0.5, color=MUTED, lw=1.2)
    axes.set_xlabel("column difference", labelpad=19, fontsize=8.5, color=MUTED)


def training(rows: Sequence[Mapping[str, Any]], label: str) -> str:
    """Loss on a log axis, and exact match, over the steps."""
    step = np.array([row["step"] for row in rows], float)
    with drawing("training", label, WIDTH, 2.7) as drawn:
        left, right = drawn.figure.subplots(1, 2)
        loss = np.array([row["loss"] for row in rows], float)
        left.plot(step, loss, color=BLUE, lw=1.6)
        left.set(yscale="log", xlabel="step", ylabel="loss (nats per token)")
        left.yaxis.set_minor_locator(NullLocator())
        left.yaxis.set_major_formatter(FuncFormatter(_scientific))
        right.plot(step, [row["exact"] for row in rows], color=TEAL, lw=1.6, clip_on=False)
        right.set(xlabel="step", ylabel="answers right", ylim=(0, 1.04))
        right.yaxis.set_major_formatter(PERCENT)
        for axes in (left, right):
            axes.grid(axis="y")
            axes.set_xlim(0, step.max(initial=1) * 1.02)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return drawn.svg


def _scientific(value: float, _: object = None) -> str:
    exponent = round(np.log10(value))
    return "1" if exponent == 0 else ten_to(exponent)
