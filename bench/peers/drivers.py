# SPDX-License-Identifier: Apache-2.0
"""The processes that measure an index of another library: one builds it, one loads and searches it.

The second is told settings line by line and answers each with its figures, so that a ladder of settings can end early.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import catalog
import vectors
from catalog import Effort
from datasets import DataSet, K
from targets import at_targets


class Driver:
    """What the drivers of all libraries share."""

    def __init__(self, index: catalog.Index, data: DataSet, options: argparse.Namespace, effort: Effort) -> None:
        self.index, self.data, self.options, self.effort = index, data, options, effort
        self.path = data.folder / f"{index.key()}.index"
        self.answers = data.folder / "answers.u32"

    def command(self, action: str) -> list[str]:
        raise NotImplementedError

    def line(self, settings: dict) -> str:
        raise NotImplementedError

    def measure(self) -> dict:
        environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
        built = subprocess.run(self.command("build"), stdout=subprocess.PIPE, text=True, check=True, env=environment)
        build = json.loads(built.stdout)
        build["disk_bytes"] = self.path.stat().st_size
        with subprocess.Popen(
            self.command("search"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            resident = self.answer(process)["index_rss_bytes"]
            points = [point for ladder in self.index.ladders for point in self.climb(process, ladder)]
            process.stdin.close()
        if not self.options.keep_indexes:
            self.path.unlink()
        return {"build": build, "index_rss_bytes": resident, "points": points, "at": at_targets(points)}

    def answer(self, process: subprocess.Popen) -> dict:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.index.variant}: its driver ended early; its last words are above")
        return json.loads(line)

    def climb(self, process: subprocess.Popen, ladder: tuple[dict, ...]) -> list[dict]:
        truth = vectors.read_truth(self.data.truth)
        points: list[dict] = []
        for settings in ladder:
            process.stdin.write(self.line(settings) + "\n")
            process.stdin.flush()
            measured = self.answer(process)
            answers = np.fromfile(self.answers, np.uint32).reshape(-1, K)
            points.append({"settings": settings, "recall": vectors.recall(answers, truth), **measured})
            if catalog.ladder_ends([point["recall"] for point in points]):
                break
        return points


class HnswlibDriver(Driver):
    def command(self, action: str) -> list[str]:
        bytewise = self.index.kind == "l2_u8"
        queries = self.data.query if bytewise else self.data.query_f32
        common = [self.options.build / "bench/peers/bench_hnswlib", "--space", self.index.kind, "--queries", queries]
        common += ["--index", self.path, action]
        if action == "search":
            common += ["--answers", self.answers, "--k", K]
            common += ["--passes", self.effort.passes, "--pass-seconds", self.effort.pass_seconds]
        else:
            base = self.data.base if bytewise else self.data.base_f32
            common += ["--base", base, "--m", self.index.build["M"], "--threads", 2]
            common += ["--ef-construction", self.index.build["ef_construction"]]
        return [str(part) for part in common]

    def line(self, settings: dict) -> str:
        return str(settings["ef"])


class WheelDriver(Driver):
    def command(self, action: str) -> list[str]:
        job = {
            "library": self.index.engine,
            "kind": self.index.kind,
            "build": self.index.build,
            "metric": self.data.metric,
            "dtype": self.data.dtype,
            "base": str(self.data.base_f32),
            "queries": str(self.data.query_f32),
            "index": str(self.path),
            "answers": str(self.answers),
            "first_settings": self.index.ladders[0][0],
            "k": K,
            "passes": self.effort.passes,
            "pass_seconds": self.effort.pass_seconds,
            "threads": 2,
        }
        return [sys.executable, str(Path(__file__).with_name("wheels.py")), action, json.dumps(job)]

    def line(self, settings: dict) -> str:
        return json.dumps(settings)
