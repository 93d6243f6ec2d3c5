#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes runbooks in the steps format of the streaming track of big-ann-benchmarks.

usage: runbooks.py KIND SET ROWS STEPS OUT.yaml [--labels FILE [--field NAME] --order OUT.txt] [--seed N]

KIND      what a step does before its search
window    inserts ROWS / STEPS rows; from the middle on it also deletes as many, the oldest
replace   half of the rows are there from the first step on; the next ones replace two percent of them, in order
expire    inserts ROWS / STEPS rows, of which 1 in 13 stay, 2 live for 100 steps and 10 for 20 (or as many steps in STEPS)
clusters  five rounds over twenty clusters, of labels that lie side by side: inserts a random share of what is not there
          of each, then deletes a random share of what is there

The rows of `window` and `clusters` are those of the data set by their labels, one a line, or --field of JSON lines.
The order is written to the file that --order names: the row of the data set that is row 0, 1, … of the runbook.
"""

import argparse
import json
import random
from pathlib import Path

CLUSTERS, ROUNDS = 20, 5
REPLACED_SHARE = 0.02
LIVES = ((10, 0.1), (2, 0.5), (1, None))  # parts of a step's rows, and for what share of all steps they live


class Runbook:
    def __init__(self):
        self.steps, self.live, self.most = [], 0, 0

    def add(self, operation, **ranges):
        self.steps.append({"operation": operation, **ranges})

    def insert(self, start, end):
        if end > start:
            self.add("insert", start=start, end=end)
            self.live += end - start
            self.most = max(self.most, self.live)

    def delete(self, start, end):
        if end > start:
            self.add("delete", start=start, end=end)
            self.live -= end - start

    def search(self):
        self.add("search")

    def text(self, name):
        lines = [f"{name}:", f"  max_pts: {self.most}"]
        for number, step in enumerate(self.steps, 1):
            lines += [f"  {number}:", *(f"    {field}: {value}" for field, value in step.items())]
        return "\n".join(lines) + "\n"


def edges(rows, parts):
    return [rows * number // parts for number in range(parts + 1)]


def window(book, rows, steps, _labels, _random):
    cuts = edges(rows, steps)
    for step in range(steps):
        book.insert(cuts[step], cuts[step + 1])
        if step >= steps // 2:
            book.delete(cuts[step - steps // 2], cuts[step - steps // 2 + 1])
        book.search()


def replace(book, rows, steps, _labels, _random):
    half = rows // 2
    each = max(1, int(half * REPLACED_SHARE))
    book.insert(0, half)
    book.search()
    tag, row = 0, half
    for _ in range(steps - 1):
        left = each
        while left > 0:  # neither range runs beyond its end
            some = min(left, half - tag, rows - row)
            book.add("replace", tags_start=tag, tags_end=tag + some, ids_start=row, ids_end=row + some)
            tag = (tag + some) % half
            row = (row + some) % rows  # so that no row lives under two keys
            left -= some
        book.search()


def expire(book, rows, steps, _labels, _random):
    cuts = edges(rows, steps)
    due = {}
    total = sum(part for part, _ in LIVES)
    for step in range(steps):
        first, last = cuts[step], cuts[step + 1]
        book.insert(first, last)
        begin = first
        for part, life in LIVES:
            end = min(last, begin + -(-(last - first) * part // total))
            if life is not None:
                due.setdefault(step + int(life * steps), []).append((begin, end))
            begin = end
        for begin, end in due.pop(step, []):
            book.delete(begin, end)
        book.search()


def clusters(book, rows, steps, labels, rng):
    """`steps` would be the searches; they follow from rounds and clusters. Inserted is what lies in [low, high)."""
    cuts = edges(rows, CLUSTERS)
    if labels:  # between two labels, where one is near
        for number in range(1, CLUSTERS):
            at = cuts[number]
            while at < rows and at > cuts[number - 1] + 1 and labels[at] == labels[at - 1]:
                at -= 1
            cuts[number] = at if at > cuts[number - 1] + 1 else cuts[number]
    low, high = cuts[:-1].copy(), cuts[:-1].copy()
    for round_number in range(ROUNDS):
        for one in range(CLUSTERS):
            rest = cuts[one + 1] - high[one]
            some = rest if round_number == ROUNDS - 1 else int(rest * rng.uniform(0.3, 0.7))
            book.insert(high[one], high[one] + some)
            high[one] += some
            book.search()
        for one in range(CLUSTERS):
            some = int((high[one] - low[one]) * rng.uniform(0.3, 0.7))
            book.delete(low[one], low[one] + some)
            low[one] += some
            book.search()


def read_labels(path, field, rows):
    lines = Path(path).read_text().splitlines()[:rows]
    return [json.loads(line)[field] if field else int(line) for line in lines]


def main():
    kinds = {"window": window, "replace": replace, "expire": expire, "clusters": clusters}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("set")
    parser.add_argument("rows", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("out")
    parser.add_argument("--labels")
    parser.add_argument("--field")
    parser.add_argument("--order")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    if (wanted.labels is None) != (wanted.order is None):
        parser.error("--labels and --order go together")
    labels = []
    if wanted.labels:
        unsorted = read_labels(wanted.labels, wanted.field, wanted.rows)
        order = sorted(range(len(unsorted)), key=lambda row: unsorted[row])
        labels = [unsorted[row] for row in order]
        Path(wanted.order).write_text("".join(f"{row}\n" for row in order))
    book = Runbook()
    kinds[wanted.kind](book, wanted.rows, wanted.steps, labels, random.Random(wanted.seed))
    Path(wanted.out).write_text(book.text(wanted.set))


if __name__ == "__main__":
    main()
