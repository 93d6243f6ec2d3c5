# SPDX-License-Identifier: Apache-2.0
"""The few pieces of SVG that the pictures of bench are made of: panels with two axes, curves, marks, a legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

INK, FAINT, GRID, PAPER = "#22292f", "#5b666e", "#e3e7ea", "#ffffff"
LEGEND_COLUMN, LEGEND_LINE = 250, 22


@dataclass(frozen=True)
class Style:
    """How one index is drawn, the same in every panel and in the legend."""

    colour: str
    mark: str = "circle"  # circle, square, diamond, triangle, none
    dash: str = ""
    width: float = 1.6


def text(
    x: float, y: float, content: str, size: int = 12, colour: str = INK, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(content)}</text>'
    )


def sideways(x: float, y: float, content: str, size: int = 12) -> str:
    return (
        f'<text transform="translate({x:.1f} {y:.1f}) rotate(-90)" font-size="{size}" fill="{FAINT}" '
        f'text-anchor="middle">{escape(content)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str = GRID, width: float = 1) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def mark(x: float, y: float, style: Style, size: float = 3.4) -> str:
    if style.mark == "none":
        return ""
    if style.mark == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" fill="{style.colour}"/>'
    if style.mark == "square":
        corner = size * 0.9
        return (
            f'<rect x="{x - corner:.1f}" y="{y - corner:.1f}" width="{2 * corner:.1f}" height="{2 * corner:.1f}" '
            f'fill="{style.colour}"/>'
        )
    reach = size * 1.25
    corners = [(x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y)]
    if style.mark == "triangle":
        corners = [(x, y - reach), (x + reach, y + size), (x - reach, y + size)]
    return f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}" fill="{style.colour}"/>'


def curve(points: Sequence[tuple[float, float]], style: Style) -> str:
    if len(points) < 2:
        return ""
    dash = f' stroke-dasharray="{style.dash}"' if style.dash else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{style.colour}" stroke-width="{style.width}" '
        f'stroke-linejoin="round"{dash}/>'
    )


@dataclass(frozen=True)
class Axis:
    """Maps values to a share of the axis: `scale` stretches them, `low` and `high` are its ends."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    title: str
    scale: Callable[[float], float]

    def share(self, value: float) -> float:
        bottom, top = self.scale(self.low), self.scale(self.high)
        return (self.scale(value) - bottom) / (top - bottom)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Panel:
    """A frame at (left, top); points are given in the values of its axes."""

    left: float
    top: float
    width: float
    height: float
    across: Axis
    up: Axis
    title: str

    def place(self, x: float, y: float) -> tuple[float, float]:
        return self.left + self.across.share(x) * self.width, self.top + (1 - self.up.share(y)) * self.height

    def frame(self) -> list[str]:
        bottom, right = self.top + self.height, self.left + self.width
        parts = [text(self.left, self.top - 12, self.title, 13, weight="bold")]
        for value, label in self.across.ticks:
            x = self.left + self.across.share(value) * self.width
            parts += [line(x, self.top, x, bottom), text(x, bottom + 17, label, 11, FAINT, "middle")]
        for value, label in self.up.ticks:
            y = self.top + (1 - self.up.share(value)) * self.height
            parts += [line(self.left, y, right, y), text(self.left - 7, y + 4, label, 11, FAINT, "end")]
        parts += [line(self.left, bottom, right, bottom, FAINT), line(self.left, self.top, self.left, bottom, FAINT)]
        parts.append(text((self.left + right) / 2, bottom + 38, self.across.title, 12, FAINT, "middle"))
        parts.append(sideways(self.left - 46, (self.top + bottom) / 2, self.up.title))
        return parts

    def draw(self, points: Sequence[tuple[float, float]], style: Style, marked: bool = True) -> list[str]:
        """Those of the points that the axes hold."""
        inside = [self.place(x, y) for x, y in points if self.across.holds(x) and self.up.holds(y)]
        return [curve(inside, style), *(mark(x, y, style) for x, y in inside if marked)]


@dataclass(frozen=True)
class Entry:
    """A line of the legend; `lined` where the index is drawn as a curve and not as a mark alone."""

    label: str
    style: Style
    lined: bool = True


def legend(left: float, top: float, width: float, entries: Sequence[Entry]) -> tuple[list[str], float]:
    """In as many columns as fit; returns the parts and the height that they take."""
    columns = max(1, int(width // LEGEND_COLUMN))
    parts = []
    for number, entry in enumerate(entries):
        x, y = left + number % columns * LEGEND_COLUMN, top + number // columns * LEGEND_LINE
        parts.append(curve([(x, y), (x + 30, y)], entry.style) if entry.lined else "")
        parts += [mark(x + 15, y, entry.style, 3.4 if entry.lined else 5), text(x + 38, y + 4, entry.label, 12)]
    return parts, -(-len(entries) // columns) * LEGEND_LINE


def document(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="system-ui, sans-serif" role="img" '
        f'aria-label="{escape(label)}">'
    )
    source = "<!-- SPDX-License-Identifier: Apache-2.0; drawn by bench -->"
    paper = f'<rect width="{width:.0f}" height="{height:.0f}" fill="{PAPER}"/>'
    return "\n".join([head, source, paper, *(part for part in parts if part), "</svg>"]) + "\n"
