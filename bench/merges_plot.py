#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws a result file of bench_merges: merges.svg, the reads a query while stores grow or their rows are replaced, beside
fresh builds of the same rows, and merges-cost.svg, the bytes written and the CPU of an insert at each step.

usage: merges_plot.py RESULT.json FOLDER
"""

import json
import math
import sys
from pathlib import Path

from plot import BETWEEN, PANEL_HEIGHT, PANEL_LEFT, PANEL_TOP, PANEL_WIDTH, STYLES
from svg import FAINT, Axis, Entry, Panel, Style, document, legend, text

TARGETS = (0.95, 0.99)
DASHES = {0.95: "", 0.99: "5 4"}
# What is drawn of an insert.
PARTS = (("merging", "", "merge"), ("putting", "5 4", "put"))


def plain(value):
    return value


def nice_axis(low, high, title, unit=1.0, suffix=""):
    """From `low` or a little less to `high` or a little more, with four to ten ticks."""
    steps = (digit * 10**power for power in range(-2, 9) for digit in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= 8)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [(number * step, f"{number * step / unit:g}{suffix}") for number in range(first, last + 1)]
    return Axis(first * step, last * step, ticks, title, plain)


def reads_at(searches, target):
    return next(point["reads_between"] for point in searches if point["target"] == target)


def grown(one, target):
    begin = [(one["begin"]["rows"], reads_at(one["begin"]["searches"], target))] if "begin" in one else []
    return begin + [(step["rows"], reads_at(step["searches"], target)) for step in one["steps"] if "searches" in step]


def fresh(one, target):
    points = [(step["rows"], reads_at(step["fresh"], target)) for step in one["steps"] if "fresh" in step]
    if "begin" in one:
        points.insert(0, (one["begin"]["rows"], reads_at(one["begin"]["searches"], target)))
    last = (one["fresh"]["rows"], reads_at(one["fresh"]["searches"], target))
    return points if last in points else [*points, last]


def by_round(one, target):
    return [(number, reads_at(step["searches"], target)) for number, step in enumerate(one["steps"], 1)]


def reads_panel(left, entries, sets, heading, across, lines_of):
    """lines_of(one, target): the points of the merged store and those of fresh builds."""
    lines = [(one["set"], target, *lines_of(one, target)) for one in sets for target in TARGETS]
    highest = max(reads for _, _, ours, theirs in lines for _, reads in ours + theirs)
    panel = Panel(left, PANEL_TOP, PANEL_WIDTH, PANEL_HEIGHT, across, nice_axis(0, highest, "reads"), heading)
    parts = panel.frame()
    for name, target, ours, theirs in lines:
        style = Style(STYLES[name].colour, STYLES[name].mark, DASHES[target], STYLES[name].width)
        beside = Style(FAINT, STYLES[name].mark, DASHES[target], 1.2)
        parts += panel.draw(theirs, beside) + panel.draw(ours, style)
        entries[f"{name}, merged, at {target:g}"] = Entry(f"{name}, merged, at {target:g}", style)
        entries[f"{name}, fresh, at {target:g}"] = Entry(f"{name}, built anew, at {target:g}", beside)
    return parts


def cost_panel(left, entries, sets, heading, across, title, field, unit=1.0):
    lines = [
        (one["set"], label, dash, [(step["rows"], step[f"{part}_{field}"] / unit) for step in one["steps"]])
        for one in sets
        for label, dash, part in PARTS
    ]
    highest = max(value for *_, points in lines for _, value in points)
    panel = Panel(left, PANEL_TOP, PANEL_WIDTH, PANEL_HEIGHT, across, nice_axis(0, highest, title), heading)
    parts = panel.frame()
    for name, label, dash, points in lines:
        style = Style(STYLES[name].colour, STYLES[name].mark, dash, STYLES[name].width)
        parts += panel.draw(points, style)
        entries[f"{name}, {label}"] = Entry(f"{name}, {label}", style)
    return parts


def picture(title, draw, note):
    """draw(left, entries) of each panel."""
    entries, parts = {}, [text(PANEL_LEFT - 58, 30, title, 17, weight="bold")]
    for number, one in enumerate(draw):
        parts += one(PANEL_LEFT + number * (PANEL_WIDTH + BETWEEN), entries)
    y = PANEL_TOP + PANEL_HEIGHT + 66
    width = len(draw) * (PANEL_WIDTH + BETWEEN) + PANEL_LEFT - BETWEEN + 20
    drawn, taken = legend(PANEL_LEFT, y, width - PANEL_LEFT, list(entries.values()))
    parts += [*drawn, text(PANEL_LEFT - 58, y + taken + 12, note, 11, FAINT)]
    return document(width, y + taken + 24, title, parts)


def reads_panels(growth, replaced, rows):
    def growing(left, entries):
        return reads_panel(
            left, entries, growth, "a store that grows", rows, lambda one, at: (grown(one, at), fresh(one, at))
        )

    def replacing(left, entries):
        rounds = nice_axis(0, max(len(one["steps"]) for one in replaced), "rounds that replace a twentieth of the rows")

        def lines_of(one, target):
            return by_round(one, target), [(len(one["steps"]), reads_at(one["fresh"]["searches"], target))]

        return reads_panel(left, entries, replaced, "rows that are replaced", rounds, lines_of)

    return [growing, replacing] if replaced else [growing]


def cost_panels(growth, rows):
    def written(left, entries):
        return cost_panel(left, entries, growth, "bytes written", rows, "kB an insert", "bytes", 1000)

    def computed(left, entries):
        return cost_panel(left, entries, growth, "CPU", rows, "µs an insert", "cpu_us")

    return [written, computed]


def main(path, folder):
    measured = json.loads(Path(path).read_text())["measured"]
    growth = [one for one in measured if one["scenario"] == "growth" and one["share"] == 0.05]
    replaced = [one for one in measured if one["scenario"] == "replace"]
    if not growth:
        sys.exit(f"{path}: no growth in steps of a twentieth")
    rows = nice_axis(0, max(one["fresh"]["rows"] for one in growth), "rows", 1000, "k")
    note = "bench_merges, nothing cached, puts in batches of 100."
    reads = picture("Reads a query after merges", reads_panels(growth, replaced, rows), note)
    (Path(folder) / "merges.svg").write_text(reads)
    costs = picture("What an insert costs, in steps of a twentieth", cost_panels(growth, rows), note)
    (Path(folder) / "merges-cost.svg").write_text(costs)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
