# SPDX-License-Identifier: Apache-2.0
"""VecStore in the comparison, through its command: everything cached, nothing cached, and under budgets of memory.

A pass is one process, which opens the index, fills its cache and is then timed over one batch; nothing warms it up.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vectors
from catalog import Effort
from datasets import DataSet, K, leading_queries, repeated_queries
from targets import TARGETS, at_targets

LADDER = (5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 24, 28, 34, 40, 48, 56, 68, 80, 96, 112, 136, 160, 200, 240, 320)
BUDGETS = (0.05, 0.10, 0.15, 0.20, 0.30, 0.40, 0.50, 0.75, 1.00)
QUICK_BUDGETS = (0.05, 0.10, 0.40, 1.00)
OWN_BUILD_SLACK_BYTES = 4096


class Refused(Exception):
    """The command said no, in its own words: a budget that is too small."""

    @property
    def least_bytes(self) -> int:
        return int(re.search(r"needs at least \d+MiB \((\d+) bytes\)", str(self)).group(1))


@dataclass(frozen=True)
class Mode:
    """How much of an index is in memory."""

    variant: str
    arguments: tuple[str, ...]
    budget_share: float | None = None  # of the raw data

    @property
    def cached_whole(self) -> bool:
        return "100%" in self.arguments


def modes(data: DataSet, quick: bool) -> list[Mode]:
    found = [Mode("all pages cached", ("--cache", "100%")), Mode("nothing cached", ("--cache", "0"))]
    for share in QUICK_BUDGETS if quick else BUDGETS:
        budget_bytes = int(data.raw_bytes * share)
        found.append(Mode(f"RAM {share:.1%} of raw".replace(".0%", "%"), ("--ram", str(budget_bytes)), share))
    return found


def call(cli: Path, *arguments: str | Path) -> tuple[dict, float]:
    """The command's JSON and the CPU-seconds of its process. Refused when it asks for more memory."""
    before = os.times()
    done = subprocess.run([cli, *arguments, "--json"], capture_output=True, text=True, check=False)
    after = os.times()
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
        if "needs at least" in reason:
            raise Refused(reason.rsplit(": ", 1)[-1])  # without the path of this run's index
        raise RuntimeError(reason)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return json.loads(done.stdout), cpu


def build_index(cli: Path, data: DataSet, index: Path, *options: str) -> dict:
    shutil.rmtree(index, ignore_errors=True)
    start = time.perf_counter()
    report, cpu = call(
        cli,
        "build",
        "--input",
        data.base,
        "--metric",
        data.metric,
        "--output",
        index,
        "--threads",
        "2",
        "--quiet",
        *options,
    )
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": cpu,
        "threads": 2,
        "rss_peak_bytes": report["rss_peak_bytes"],
        "disk_bytes": report["disk_bytes"],
        "ram_bytes_per_row": report["ram_bytes_per_row"],
    }


def process_bytes(cli: Path, folder: Path) -> int:
    """What the command's process takes with two vectors: the part of its memory that no index is to blame for."""
    tiny, truth = folder / "tiny.fbin", folder / "tiny.gt.ibin"
    vectors.write_vectors(tiny, np.eye(2, dtype=np.float32))
    report, _ = call(
        cli, "groundtruth", "--base", tiny, "--queries", tiny, "--output", truth, "--k", "1", "--overwrite"
    )
    return report["rss_peak_bytes"]


class Searches:
    """Searches of one index in one mode."""

    def __init__(self, cli: Path, data: DataSet, index: Path, mode: Mode, effort: Effort) -> None:
        self.cli, self.index, self.mode, self.effort = cli, index, mode, effort
        if mode.cached_whole:
            self.queries, self.truth_path = repeated_queries(data, effort.cached_queries)
        else:
            self.queries, self.truth_path = leading_queries(data, effort.disk_queries)
        self.answers_path = data.folder / "answers.ibin"
        self.truth = vectors.read_truth(self.truth_path)
        self.peak_rss_bytes = self.peak_ram_bytes = 0
        self.probed: dict[tuple[float, int], float] = {}

    def run(self, target: float, length: int, *how: str) -> tuple[dict, float]:
        """The command's report, and recall as it is counted for every library here."""
        settings = ("--recall-target", str(target), "--L", str(length), "--k", str(K))
        files = ("--queries", self.queries, "--groundtruth", self.truth_path, "--output", self.answers_path)
        report, _ = call(self.cli, "search", self.index, *files, *settings, *self.mode.arguments, "--quiet", *how)
        self.peak_rss_bytes = max(self.peak_rss_bytes, report["rss_peak_bytes"])
        self.peak_ram_bytes = max(self.peak_ram_bytes, report["ram_peak_bytes"])
        recall = vectors.recall(vectors.read_truth(self.answers_path)[0], self.truth)
        if abs(recall - report["recall"]) > 1e-4:
            raise RuntimeError(f"recall {report['recall']} by the command, {recall} counted here")
        return report, recall

    def probe(self, target: float, length: int) -> float:
        if (target, length) not in self.probed:
            self.probed[target, length] = self.run(target, length, "--threads", "2")[1]
        return self.probed[target, length]

    def bracket(self, target: float) -> list[tuple[float, int]]:
        """The shortest list of the ladder that reaches the target, and the one before it."""
        low, high = 0, len(LADDER)
        while low < high:
            middle = (low + high) // 2
            if self.probe(target, LADDER[middle]) >= target:
                high = middle
            else:
                low = middle + 1
        return [(target, LADDER[i]) for i in (low - 1, low) if 0 <= i < len(LADDER)]

    def point(self, target: float, length: int) -> dict:
        qps: dict[str, list[float]] = {}
        # Under a budget a quick run takes two threads only; its picture needs no more.
        for number in (2,) if self.effort.quick and self.mode.budget_share is not None else (1, 2):
            runs = [self.run(target, length, "--threads", str(number)) for _ in range(self.effort.passes)]
            qps[str(number)] = [report["qps"] for report, _ in runs]
        report, recall = self.run(target, length, "--clients", "1")
        return {
            "settings": {"recall_target": target, "L": length, "blocks": report["blocks"], "bound": report["bound"]},
            "recall": recall,
            "qps": qps,
            "latency_us": report["latency_us"],
            "reads_per_query": report["reads_per_query"],
            "rounds_per_query": report["rounds_per_query"],
        }

    def settings(self) -> list[tuple[float, int]]:
        """What is timed: around both targets, and with all pages cached, where it costs little, the curve."""
        found = [pair for target in TARGETS for pair in self.bracket(target)]
        if self.mode.cached_whole:
            low, high = (LADDER.index(self.bracket(target)[0][1]) for target in TARGETS)
            curve = LADDER[max(0, low - 4) : high + 4 : 2 if self.effort.quick else 1]
            found += [(TARGETS[0], length) for length in curve]
        return sorted(set(found))

    def longer_where_missed(self, points: list[dict]) -> list[dict]:
        """Points further up the ladder where a target was reached by the probe's two threads, but not by the one client
        whose recall a point states: an adapting cache takes other pages along."""
        found = []
        for target in TARGETS:
            of_target = [point for point in points if point["settings"]["recall_target"] == target]
            longer = [length for length in LADDER if length > max(point["settings"]["L"] for point in of_target)]
            reached = max(point["recall"] for point in of_target) >= target
            while not reached and longer:
                found.append(self.point(target, longer.pop(0)))
                reached = found[-1]["recall"] >= target
        return found


class Runs:
    """Builds and searches of one data set."""

    def __init__(self, cli: Path, data: DataSet, effort: Effort, state: str) -> None:
        self.cli, self.data, self.effort, self.state = cli, data, effort, state
        self.index = data.folder / "vecstore"
        self.built_by = data.folder / "vecstore-built-by"
        self.process_bytes = process_bytes(cli, data.folder)

    def build(self) -> dict:
        self.built_by.unlink(missing_ok=True)
        built = build_index(self.cli, self.data, self.index)
        self.built_by.write_text(self.state)
        return built

    def measure(self, mode: Mode) -> dict:
        """One mode's points. Where a budget does not hold the index, or `build` would choose narrower codes for it, one
        with codes for that budget is built, measured and removed; where that is refused too, the refusal is the result.
        """
        self.build_if_gone()
        if mode.budget_share is None:
            return self.search(self.index, mode)
        budget = int(mode.arguments[1])
        refused = []
        try:
            if self.codes_for(budget) == self.codes_for(0):
                return self.search(self.index, mode)
            Searches(self.cli, self.data, self.index, mode, self.effort).probe(TARGETS[0], LADDER[0])
            room = budget
        except Refused as refusal:
            refused.append(str(refusal))
            room = max(1, budget - self.second_searcher_bytes(refusal))
        small = self.data.folder / "vecstore-small"
        try:
            build = build_index(self.cli, self.data, small, "--search-ram", str(room))
            return {"build": build, "own_build": True, **self.search(small, mode)}
        except Refused as refusal:
            return {"refused": [*refused, f"{refusal} for one thread"], "points": [], "at": at_targets([])}
        finally:
            shutil.rmtree(small, ignore_errors=True)

    def codes_for(self, budget: int) -> tuple[str, int] | None:
        """Family and bytes of a row, as `build` would choose for that memory (0: for any); None where it would refuse."""
        files = ("--input", self.data.base, "--metric", self.data.metric, "--output", self.data.folder / "unbuilt")
        try:
            report, _ = call(self.cli, "build", *files, "--search-ram", str(budget), "--dry-run", "--quiet")
        except Refused:
            return None
        return report["prediction"]["codec"], report["prediction"]["code_bytes"]

    def second_searcher_bytes(self, refusal: Refused) -> int:
        """What two threads need beside what `build --search-ram` is about: codes, their model and one searcher."""
        info, _ = call(self.cli, "info", self.index)
        held = info["ram_bytes_per_row"] * info["n"] + info["fixed_ram_bytes"]
        return max(0, refusal.least_bytes - int(held)) // 2 + OWN_BUILD_SLACK_BYTES

    def build_if_gone(self) -> None:
        """What was measured in an earlier run is known, but its index may be gone, or another program's lie there."""
        if not self.built_by.exists() or self.built_by.read_text() != self.state:
            self.build()

    def search(self, index: Path, mode: Mode) -> dict:
        searches = Searches(self.cli, self.data, index, mode, self.effort)
        points = [searches.point(target, length) for target, length in searches.settings()]
        points += searches.longer_where_missed(points)
        return {
            "index_rss_bytes": max(0, searches.peak_rss_bytes - self.process_bytes),
            "ram_peak_bytes": searches.peak_ram_bytes,
            "points": points,
            "at": at_targets(points),
        }
