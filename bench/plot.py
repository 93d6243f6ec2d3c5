#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws a result file of bench/run: reads.svg, the reads per query at recall@10 of .95 beside those of other engines,
recall-reads.svg, and latency.svg, how long callers wait with one query at a time.

usage: plot.py RESULT.json FOLDER

The other engines' figures were measured by this project on the same kind of machine (2 vCPU with AVX-512, virtual NVMe),
on the same data, at the sweep point nearest to .95, but not in the run that is drawn: DiskANN (libaio, R = 64, beam 4)
and PipeANN (io_uring, R = 64, pipelined), 32-byte codes on csift, 48-byte codes on win384.
"""

import json
import math
import sys
from pathlib import Path
from xml.sax.saxutils import escape

from svg import Axis, Entry, Panel, Style, document, legend
from svg import text as written

OTHERS = {
    "csift": [("DiskANN", 32.7), ("PipeANN", 27.1)],
    "win384": [("DiskANN", 30.5), ("PipeANN", 28.4)],
}
TITLES = {
    "csift": "csift, 300k × 128 u8, L2",
    "win384": "win384, 100k × 384 f16, cosine",
    "fashion-mnist": "fashion-mnist, 60k × 784 u8, L2",
}
WIDTH, LEFT, BAR, GAP, HEAD = 760, 210, 22, 8, 34
OURS, THEIRS, INK, FAINT = "#1f6f8b", "#b9c2c9", "#22292f", "#69747c"


def bars_of(one):
    """(label, reads, ours) of one set: VecStore by share of pages cached, then the others."""
    bars = []
    for point in one["points"]:
        if point["queries"] == "" and point["target"] == 0.95 and point["chosen_by"] == "smallest":
            cached = f", {point['cached']:.0%} cached" if point["cached"] else ""
            bars.append((f"VecStore{cached}", point["reads"], True))
    return bars + [(name, reads, False) for name, reads in OTHERS.get(one["set"], [])]


def text(x, y, content, size=13, colour=INK, anchor="start", weight="normal"):
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(content)}</text>'
    )


def reads_picture(report):
    groups = [(one["set"], bars_of(one)) for one in report["sets"] if one["set"] in TITLES]
    most = max((reads for _, bars in groups for _, reads, _ in bars), default=1.0)
    scale = (WIDTH - LEFT - 70) / most
    body, y = [text(16, 26, "Reads from disk per query at recall@10 = .95 (fewer is better)", 16, weight="bold")], 52
    for name, bars in groups:
        body.append(text(16, y + 16, TITLES[name], 14, weight="bold"))
        y += HEAD - 6
        for label, reads, ours in bars:
            body.append(text(LEFT - 8, y + BAR - 6, label, anchor="end"))
            body.append(
                f'<rect x="{LEFT}" y="{y}" width="{reads * scale:.1f}" height="{BAR}" fill="{OURS if ours else THEIRS}"/>'
            )
            body.append(text(LEFT + reads * scale + 6, y + BAR - 6, f"{reads:.1f}"))
            y += BAR + GAP
        y += 14
    host = report["machine"]
    body.append(text(16, y + 6, f"VecStore: bench/run, {report['date']}, {host['cpu']}, 4 KiB pages.", 11, FAINT))
    body.append(
        text(16, y + 22, "DiskANN, PipeANN: measured by this project on the same kind of machine, in other runs.", 11, FAINT)
    )
    y += 36
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
        'font-family="system-ui, sans-serif" role="img" aria-label="Reads per query at recall .95">'
    )
    source = "<!-- SPDX-License-Identifier: Apache-2.0; drawn by bench/plot.py -->"
    paper = f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>'
    return "\n".join([head, source, paper, *body, "</svg>"]) + "\n"


STYLES = {
    "csift": Style("#1f6f8b", width=2.4),
    "fashion-mnist": Style("#d9480f", "square"),
    "win384": Style("#2b8a3e", "diamond"),
    "mdn256": Style("#7048b6", "triangle"),
}
PANEL_LEFT, PANEL_TOP, PANEL_WIDTH, PANEL_HEIGHT, BETWEEN = 74, 72, 300, 300, 86


def logarithmic(values, title):
    steps = [digit * 10**power for power in range(7) for digit in (1, 2, 5)]
    low = max((step for step in steps if step <= min(values)), default=1)
    high = min((step for step in steps if step >= max(values)), default=steps[-1])
    ticks = [(step, f"{step / 1000:g}k" if step >= 1000 else f"{step:g}") for step in steps if low <= step <= high]
    return Axis(low, high, ticks, title, math.log)


def two_panels(report, title, panels, kind):
    """panels: (axis across, title of the axis up, heading, points of one set) of the left and the right one."""
    sets = [one for one in report["sets"] if one["set"] in STYLES and one.get(kind)]
    parts = [written(PANEL_LEFT - 58, 30, title, 17, weight="bold")]
    for number, (across, up_title, heading, points_of) in enumerate(panels):
        points = {one["set"]: points_of(one) for one in sets}
        up = logarithmic([y for line in points.values() for _, y in line], up_title)
        left = PANEL_LEFT + number * (PANEL_WIDTH + BETWEEN)
        panel = Panel(left, PANEL_TOP, PANEL_WIDTH, PANEL_HEIGHT, across, up, heading)
        parts += panel.frame()
        for name, line in points.items():
            parts += panel.draw(line, STYLES[name])
    y = PANEL_TOP + PANEL_HEIGHT + 66
    width = 2 * PANEL_WIDTH + BETWEEN + PANEL_LEFT + 20
    drawn, taken = legend(PANEL_LEFT, y, width - PANEL_LEFT, [Entry(one["set"], STYLES[one["set"]]) for one in sets])
    note = f"bench/run, {report['date']}, {report['machine']['cpu']}, 4 KiB pages, nothing cached."
    parts += [*drawn, written(PANEL_LEFT - 58, y + taken + 12, note, 11, FAINT)]
    return document(width, y + taken + 24, title, parts)


def latency_picture(report):
    counts = (1, 2, 4, 8, 16, 32, 64)
    across = Axis(1, 64, [(n, str(n)) for n in counts], "callers with one query at a time", math.log)

    def of(field):
        return lambda one: [(at["clients"], at[field]) for at in one["clients"]]

    panels = [
        (across, "µs", "median latency at recall .95", of("p50_us")),
        (across, "µs", "99th percentile", of("p99_us")),
    ]
    return two_panels(report, "Latency by number of callers", panels, "clients")


def curve_picture(report):
    ticks = [(value, f"{value:g}"[1:]) for value in (0.8, 0.9, 0.95, 0.98, 0.99, 0.995)]
    across = Axis(0.79, 0.9975, ticks, "recall@10", lambda recall: -math.log10(1 - recall))

    def of(field):
        return lambda one: [(min(at["recall"], 0.9975), at[field]) for at in one["curve"]]

    panels = [
        (across, "reads", "reads per query", of("reads")),
        (across, "rounds", "rounds per query", of("rounds")),
    ]
    return two_panels(report, "Reads and rounds by recall", panels, "curve")


def main(path, folder):
    report = json.loads(Path(path).read_text())
    pictures = {"reads.svg": reads_picture, "latency.svg": latency_picture, "recall-reads.svg": curve_picture}
    needs = {"latency.svg": "clients", "recall-reads.svg": "curve"}
    for name, draw in pictures.items():
        if name not in needs or any(one.get(needs[name]) for one in report["sets"]):
            (Path(folder) / name).write_text(draw(report))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
