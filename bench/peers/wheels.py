# SPDX-License-Identifier: Apache-2.0
"""faiss and usearch as bench/peers measures them: one process that builds an index and saves it, and another that loads
it, says what memory that took, and times searches for every line of settings on stdin, one JSON object a line.

usage: wheels.py build|search JOB      JOB: a JSON object, see catalog.py

What hnswlib_driver.cc does for hnswlib; the passes must stay the same on both sides. Queries a second come from one
call for the whole batch, so Python costs them nothing. Latency comes from a call a query, and holds what such a call
costs.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import sys
import time
from pathlib import Path
from typing import Protocol

import numpy as np

import vectors


class Library(Protocol):
    """What a wheel has to offer. `values` are in the form that `convert` gave them."""

    def convert(self, values: np.ndarray) -> np.ndarray: ...
    def build(self, base: np.ndarray, threads: int) -> None: ...
    def save(self, path: str) -> None: ...
    def load(self, path: str) -> None: ...
    def set(self, settings: dict) -> None: ...
    def search(self, queries: np.ndarray, k: int, threads: int) -> np.ndarray: ...


class FaissLibrary:
    """HNSW over floats or 8-bit codes, and IVFPQ whose candidates are ranked again by the stored vectors."""

    def __init__(self, job: dict) -> None:
        import faiss

        self.faiss, self.job = faiss, job
        self.metric = faiss.METRIC_INNER_PRODUCT if job["metric"] == "cosine" else faiss.METRIC_L2
        self.threads = 0
        self.index = None

    def convert(self, values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values, np.float32)

    def hnsw(self, dim: int):
        faiss, build = self.faiss, self.job["build"]
        if self.job["kind"] == "hnsw_flat":
            index = faiss.IndexHNSWFlat(dim, build["M"], self.metric)
        else:
            index = faiss.IndexHNSWSQ(dim, self.exact_8bit(), build["M"], self.metric)
        index.hnsw.efConstruction = build["ef_construction"]
        return index

    def exact_8bit(self) -> int:
        """Whole numbers of a byte are stored as they are; anything else is scaled by the range of each dimension."""
        quantizer = self.faiss.ScalarQuantizer
        return quantizer.QT_8bit_direct if self.job["dtype"] == "u8" else quantizer.QT_8bit

    def ivfpq(self, dim: int):
        faiss, build = self.faiss, self.job["build"]
        coarse = faiss.IndexFlat(dim, self.metric)
        lists = faiss.IndexIVFPQFastScan(coarse, dim, build["lists"], build["code_bytes"] * 2, 4, self.metric)
        # Ranked again by the vectors as they were published: a byte or a half a dimension.
        exact = faiss.ScalarQuantizer.QT_8bit_direct if self.job["dtype"] == "u8" else faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexRefine(lists, faiss.IndexScalarQuantizer(dim, exact, self.metric))
        self.kept = (coarse, lists, index.refine_index)  # faiss does not own what Python made
        return index

    def build(self, base: np.ndarray, threads: int) -> None:
        self.faiss.omp_set_num_threads(threads)
        self.index = self.ivfpq(base.shape[1]) if self.job["kind"] == "ivfpq_fast_scan" else self.hnsw(base.shape[1])
        self.index.train(base)
        self.index.add(base)

    def save(self, path: str) -> None:
        self.faiss.write_index(self.index, path)

    def load(self, path: str) -> None:
        self.index = self.faiss.read_index(path)

    def set(self, settings: dict) -> None:
        if "ef" in settings:
            self.index.hnsw.efSearch = settings["ef"]
        else:
            self.faiss.downcast_index(self.index.base_index).nprobe = settings["nprobe"]
            self.index.k_factor = float(settings["k_factor"])

    def search(self, queries: np.ndarray, k: int, threads: int) -> np.ndarray:
        if threads != self.threads:
            self.faiss.omp_set_num_threads(threads)
            self.threads = threads
        return self.index.search(queries, k)[1]


class UsearchLibrary:
    """usearch with halves or bytes. Bytes are made here, by the best scale that we know of: usearch's own (unit vectors
    times 127) leaves six levels to a dimension of win384, and .96 of recall."""

    def __init__(self, job: dict) -> None:
        from usearch.index import Index

        self.Index, self.job = Index, job
        self.index = None

    def convert(self, values: np.ndarray) -> np.ndarray:
        if self.job["kind"] == "f16":
            return values.astype(np.float16)  # whole numbers up to 2048 and the halves of win384 stay what they are
        if self.job["dtype"] == "u8":
            return (values.astype(np.int16) - 128).astype(np.int8)  # a shift leaves L2 as it is
        return np.round(values * (127 / np.abs(values).max(axis=1, keepdims=True))).astype(np.int8)

    def build(self, base: np.ndarray, threads: int) -> None:
        build = self.job["build"]
        # Rows of bytes have lost their common length, so their cosine needs its norms; halves keep it.
        cosine = "cos" if self.job["kind"] == "i8" else "ip"
        self.index = self.Index(
            ndim=base.shape[1],
            metric=cosine if self.job["metric"] == "cosine" else "l2sq",
            dtype=self.job["kind"],
            connectivity=build["M"],
            expansion_add=build["ef_construction"],
        )
        self.index.add(np.arange(len(base), dtype=np.uint64), base, threads=threads)

    def save(self, path: str) -> None:
        self.index.save(path)

    def load(self, path: str) -> None:
        self.index = self.Index.restore(path)

    def set(self, settings: dict) -> None:
        self.index.expansion_search = settings["ef"]

    def search(self, queries: np.ndarray, k: int, threads: int) -> np.ndarray:
        return self.index.search(queries, k, threads=threads).keys


def resident_bytes() -> int:
    """What is resident after the allocator has given back what it holds for nobody."""
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def build(job: dict, library: Library) -> dict:
    base = library.convert(vectors.read_vectors(Path(job["base"])))
    start, cpu = time.perf_counter(), cpu_seconds()
    library.build(base, job["threads"])
    report = {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": cpu_seconds() - cpu,
        "threads": job["threads"],
        "rss_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    library.save(job["index"])
    return report


def timed_pass(library: Library, queries: np.ndarray, job: dict, threads: int, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        library.search(queries, job["k"], threads)
    return time.perf_counter() - start


def latencies(library: Library, queries: np.ndarray, k: int) -> dict:
    taken = np.empty(len(queries))
    for number in range(len(queries)):
        start = time.perf_counter()
        library.search(queries[number : number + 1], k, 1)
        taken[number] = time.perf_counter() - start
    return {
        "mean": float(taken.mean() * 1e6),
        "p50": float(np.quantile(taken, 0.5) * 1e6),
        "p99": float(np.quantile(taken, 0.99) * 1e6),
    }


def measure(library: Library, queries: np.ndarray, job: dict, settings: dict) -> dict:
    library.set(settings)
    start = time.perf_counter()
    answers = library.search(queries, job["k"], 1)
    warm_up_seconds = time.perf_counter() - start
    answers.astype(np.uint32).tofile(job["answers"])
    repeats = min(20, max(1, math.ceil(job["pass_seconds"] / warm_up_seconds)))
    qps, cpu_per_wall = {}, {}
    for threads in (1, 2):
        cpu, start = cpu_seconds(), time.perf_counter()
        taken = [timed_pass(library, queries, job, threads, repeats) for _ in range(job["passes"])]
        cpu_per_wall[str(threads)] = (cpu_seconds() - cpu) / (time.perf_counter() - start)
        qps[str(threads)] = [len(queries) * repeats / seconds for seconds in taken]
    return {"qps": qps, "cpu_per_wall": cpu_per_wall, "latency_us": latencies(library, queries, job["k"])}


def serve(job: dict, library: Library) -> None:
    queries = library.convert(vectors.read_vectors(Path(job["queries"])))
    before = resident_bytes()
    library.load(job["index"])
    library.set(job["first_settings"])
    library.search(queries, job["k"], 2)  # so that what a search keeps for later ones is resident too
    print(json.dumps({"index_rss_bytes": resident_bytes() - before}), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(library, queries, job, json.loads(line))), flush=True)


def main(command: str, text: str) -> None:
    job = json.loads(text)
    library: Library = FaissLibrary(job) if job["library"] == "faiss" else UsearchLibrary(job)
    if command == "build":
        print(json.dumps(build(job, library)), flush=True)
    else:
        serve(job, library)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("build", "search"):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
