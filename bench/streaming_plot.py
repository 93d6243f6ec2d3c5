#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws result files of bench_streaming: for each run streaming-<name>.svg, what every search step found, with the merges
marked; and streaming.md, a table of all runs with the pictures.

usage: streaming_plot.py FOLDER RESULT.json…
"""

import json
import sys
from pathlib import Path

from merges_plot import nice_axis
from svg import FAINT, Entry, Panel, Style, document, legend, line, text

WIDTH, HEIGHT, LEFT, TOP, BETWEEN, BELOW = 300, 190, 74, 72, 86, 112
OURS, SECOND, FRESH, FLOOR = "#1f6f8b", "#c0792a", FAINT, "#b03a48"
MEGABYTE = 1e6


def style(colour, dash=""):
    return Style(colour, mark="none", dash=dash, width=1.4)


def steps_of(run):
    """(x, step) with x counted in searches, which is what a runbook's step is to a reader."""
    return list(enumerate(run["steps"], 1))


def series(run, value):
    return [(x, value(step)) for x, step in steps_of(run)]


def rates(run, over=10):
    """Rows written a second of writing, over so many steps; what waits for a merge waits here too."""
    steps, points = run["steps"], []
    for x in range(over, len(steps)):
        rows = steps[x]["written"] - steps[x - over]["written"]
        seconds = steps[x]["write_seconds"] - steps[x - over]["write_seconds"]
        points.append((x + 1, rows / max(seconds, 1e-9)))
    return points


def level(run, value):
    return [(1, value), (len(run["steps"]), value)]


def panels_of(run):
    """(heading, title of the axis, [(label, points, style)]) of each."""
    fresh = run["fresh"]["search"]
    return [
        (
            "recall@10, as calibrated for .95",
            "recall",
            [
                ("every search step", series(run, lambda s: s["search"]["recall"]), style(OURS)),
                ("a fresh build at the end", level(run, fresh["recall"]), style(FRESH, "5 4")),
                ("floor", level(run, 0.94), style(FLOOR, "2 3")),
            ],
        ),
        (
            "reads a query",
            "reads of 4 KiB",
            [
                ("every search step", series(run, lambda s: s["search"]["reads"]), style(OURS)),
                ("a fresh build at the end", level(run, fresh["reads"]), style(FRESH, "5 4")),
            ],
        ),
        (
            "latency of a lone caller",
            "µs",
            [
                ("p50", series(run, lambda s: s["search"]["p50_us"]), style(OURS)),
                ("p99", series(run, lambda s: s["search"]["p99_us"]), style(SECOND)),
            ],
        ),
        (
            "disk",
            "MB",
            [
                ("directory", series(run, lambda s: s["files"]["total"] / MEGABYTE), style(OURS)),
                ("of it the log", series(run, lambda s: s["files"]["log"] / MEGABYTE), style(SECOND)),
                ("a fresh build at the end", level(run, run["fresh"]["files"]["total"] / MEGABYTE), style(FRESH, "5 4")),
            ],
        ),
        (
            "memory of the store",
            "MB",
            [
                ("in use", series(run, lambda s: s["memory_used"] / MEGABYTE), style(OURS)),
                ("its peak", series(run, lambda s: s["memory_peak"] / MEGABYTE), style(SECOND)),
                ("what it may take", level(run, run["ram_bytes"] / MEGABYTE), style(FLOOR, "2 3")),
            ],
        ),
        (
            "rows put or erased a second",
            "rows",
            [
                ("over ten steps", rates(run), style(OURS)),
                ("on average", level(run, run["closing"]["rows_per_second"]), style(FRESH, "5 4")),
            ],
        ),
    ]


def merge_marks(run, panel):
    """A tick at the foot of the panel at every step during which a merge was completed."""
    parts, before = [], 0
    for x, step in steps_of(run):
        if step["merges"] > before:
            at, foot = panel.place(x, panel.up.low)
            parts.append(line(at, foot, at, foot - 7, SECOND, 1))
        before = step["merges"]
    return parts


def axis_of(lines, title):
    values = [value for _, points, _ in lines for _, value in points]
    low = min(values) if title == "recall" else 0
    # A store that is not merged yet takes rows so fast that nothing else could be seen.
    high = 1 if title == "recall" else sorted(values)[int(0.9 * (len(values) - 1))] * 1.5 if title == "rows" else max(values)
    return nice_axis(low, max(high, 1), title)


def picture(run):
    across = nice_axis(0, len(run["steps"]), "search steps")
    parts = [text(16, 30, f"{run['name']}: {len(run['steps'])} steps, {run['steps'][-1]['merges']} merges", 17, weight="bold")]
    for number, (heading, title, lines) in enumerate(panels_of(run)):
        left, top = LEFT + number % 3 * (WIDTH + BETWEEN), TOP + number // 3 * (HEIGHT + BELOW + 40)
        panel = Panel(left, top, WIDTH, HEIGHT, across, axis_of(lines, title), heading)
        parts += panel.frame() + merge_marks(run, panel)
        for _, points, how in lines:
            parts += panel.draw(points, how)
        drawn, _ = legend(left, top + HEIGHT + 58, WIDTH + 20, [Entry(label, how) for label, _, how in lines])
        parts += drawn
    bottom = TOP + 2 * (HEIGHT + BELOW + 40) + 40
    parts.append(text(16, bottom, "bench_streaming; ticks at the foot of a panel are merges.", 11, FAINT))
    return document(3 * (WIDTH + BETWEEN) + LEFT, bottom + 14, f"{run['name']} over time", parts)


def row_of(run):
    end, fresh = run["end"], run["fresh"]
    peak = run["closing"]["memory_peak"]
    holds = "" if all(floor["holds"] for floor in run["floors"]) else " (a floor is missed)"
    return (
        f"| {run['name']}{holds} | {len(run['steps'])} | {run['steps'][-1]['merges']} | {end['rows']:,} | {run['least_recall']:.3f} "
        f"| {end['search']['recall']:.4f} / {fresh['search']['recall']:.4f} "
        f"| {end['search']['reads']:.2f} / {fresh['search']['reads']:.2f} "
        f"| {end['files']['total'] / fresh['files']['total']:.2f} | {peak / MEGABYTE:.1f} of {run['ram_bytes'] / MEGABYTE:.1f} "
        f"| {run['closing']['rows_per_second']:,.0f} | {run['closing']['bytes_a_row']:,.0f} |"
    )


def report(runs):
    lines = [
        "<!-- SPDX-License-Identifier: Apache-2.0; written by bench/streaming_plot.py -->",
        "# Stores that live through runbooks",
        "",
        "[bench/streaming](../streaming/README.md) says what a runbook does, and how the figures are counted.",
        "",
        "| runbook | steps | merges | rows at the end | least recall | recall, fresh build | reads, fresh build | directory ÷ fresh "
        "| memory, MB | rows/s | bytes written a row |",
        "|---|---:|---:|---:|---:|---|---|---:|---|---:|---:|",
        *(row_of(run) for run in runs),
        "",
        *(f"![{run['name']} over time](streaming-{run['name']}.svg)\n" for run in runs),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main(folder, paths):
    runs = [json.loads(Path(path).read_text()) for path in paths]
    for run in runs:
        (Path(folder) / f"streaming-{run['name']}.svg").write_text(picture(run))
    (Path(folder) / "streaming.md").write_text(report(runs))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
