# SPDX-License-Identifier: Apache-2.0
"""The data sets of the comparison: found, checked, cut to a prefix where asked for, and laid out for each library."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vectors

K = 10


@dataclass(frozen=True)
class Source:
    name: str
    metric: str  # as `vecstore build --metric` takes it
    suffix: str


SOURCES = (
    Source("csift", "l2", ".u8bin"),
    Source("fashion-mnist", "l2", ".u8bin"),
    Source("win384", "cosine", ".f16bin"),
)


class Skipped(Exception):
    """A data set that cannot be measured, with the reason in words."""


@dataclass(frozen=True)
class DataSet:
    name: str
    metric: str
    rows: int
    dim: int
    queries: int  # distinct ones; the file for the tool repeats them
    base: Path  # as it was published, or a prefix of it
    query: Path
    truth: Path
    folder: Path  # prepared files and indexes
    stamp: str  # of the files that it comes from: what was prepared or measured for others is not used

    @property
    def raw_bytes(self) -> int:
        return self.base.stat().st_size - 8

    @property
    def dtype(self) -> str:
        return {".u8bin": "u8", ".f16bin": "f16", ".fbin": "f32", ".i8bin": "i8"}[self.base.suffix]

    @property
    def base_f32(self) -> Path:
        return self.folder / "base.fbin"

    @property
    def query_f32(self) -> Path:
        return self.folder / "query.fbin"

    def description(self) -> dict:
        return {
            "set": self.name,
            "metric": self.metric,
            "rows": self.rows,
            "dim": self.dim,
            "dtype": self.dtype,
            "queries": self.queries,
            "raw_bytes": self.raw_bytes,
        }


def checked(source: Source, folder: Path) -> tuple[Path, Path, Path]:
    """Base, queries and truth of a source. Skipped when one is missing, cut short, or does not fit the others."""
    base, query = folder / f"{source.name}.base{source.suffix}", folder / f"{source.name}.query{source.suffix}"
    truth = folder / f"{source.name}.gt.ibin"
    for path in (base, query, truth):
        if not path.is_file():
            raise Skipped(f"{path} is missing; set VECSTORE_DATA to the folder that has it")
    try:
        rows, dim = vectors.shape_of(base)
        queries, query_dim = vectors.shape_of(query)
        neighbours, distances = vectors.read_truth(truth)
    except ValueError as error:
        raise Skipped(str(error)) from error
    if dim != query_dim:
        raise Skipped(f"{source.name}: base of {dim} dimensions, queries of {query_dim}")
    if neighbours.shape[0] != queries or neighbours.shape[1] < K:
        raise Skipped(f"{truth}: {neighbours.shape[0]} × {neighbours.shape[1]} neighbours for {queries} queries")
    if int(neighbours.max()) >= rows:
        raise Skipped(f"{truth}: names row {neighbours.max()}, the base has {rows}")
    if (np.diff(distances, axis=1) < 0).any():
        raise Skipped(f"{truth}: distances are not in ascending order")
    return base, query, truth


def cut(cli: Path, source: Source, paths: tuple[Path, Path, Path], rows: int, folder: Path) -> tuple[Path, Path, Path]:
    """The first `rows` of the base with the first 1,000 queries; their neighbours are found by brute force."""
    base, query, _ = paths
    small = [folder / f"prefix.base{source.suffix}", folder / f"prefix.query{source.suffix}", folder / "prefix.gt.ibin"]
    if not small[2].exists():
        vectors.write_vectors(small[0], vectors.read_vectors(base)[:rows])
        vectors.write_vectors(small[1], vectors.read_vectors(query)[:1000])
        partial = folder / "partial.gt.ibin"
        subprocess.run(
            [
                cli,
                "groundtruth",
                "--base",
                small[0],
                "--queries",
                small[1],
                "--output",
                partial,
                "--metric",
                source.metric,
            ]
            + ["--k", "100", "--overwrite"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        partial.rename(small[2])
    return small[0], small[1], small[2]


def spot_check(data: DataSet) -> None:
    """Two queries against the whole base: truth of another base, or of another metric, is noticed here."""
    base = vectors.read_vectors(data.base_f32)
    rows, _ = vectors.read_truth(data.truth)
    for number, query in enumerate(vectors.read_vectors(data.query_f32)[:2]):
        far = -(base @ query) if data.metric == "cosine" else ((base - query) ** 2).sum(axis=1)
        kth = np.partition(far, K - 1)[K - 1]
        if not (far[rows[number, :K]] <= kth + 1e-5 * max(1.0, abs(kth))).all():
            raise Skipped(f"{data.truth}: is not the truth of {data.base} under {data.metric}")


def stamp_of(paths: tuple[Path, Path, Path], rows: int) -> str:
    def digest_of(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return "\n".join([*(f"{path.name} {digest_of(path)}" for path in paths), f"rows {rows}"])


def prepare(cli: Path, source: Source, data_folder: Path, work: Path, rows: int) -> DataSet:
    """Everything a library reads, written once. `rows` 0: the whole set. Raises Skipped."""
    paths = checked(source, data_folder)
    stamp = stamp_of(paths, rows)
    folder = work / (source.name if rows == 0 else f"{source.name}-{rows}")
    ready = folder / "ready"
    fresh = not ready.exists() or ready.read_text() != stamp
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    base, query, truth = paths if rows == 0 else cut(cli, source, paths, rows, folder)
    count, dim = vectors.shape_of(base)
    queries, _ = vectors.shape_of(query)
    data = DataSet(source.name, source.metric, count, dim, queries, base, query, truth, folder, stamp)
    if fresh:
        widen = vectors.normalised if source.metric == "cosine" else lambda values: values.astype(np.float32)
        vectors.write_vectors(data.base_f32, widen(vectors.read_vectors(base)))
        vectors.write_vectors(data.query_f32, widen(vectors.read_vectors(query)))
        spot_check(data)
        ready.write_text(stamp)
    return data


def repeated_queries(data: DataSet, count: int) -> tuple[Path, Path]:
    """(queries, truth) of all queries, repeated until there are `count`: the command times one batch a process."""
    times = max(1, -(-count // data.queries))
    if times == 1:
        return data.query, data.truth
    query, truth = data.folder / f"times{times}.query{data.query.suffix}", data.folder / f"times{times}.gt.ibin"
    if not truth.exists():
        vectors.write_vectors(query, np.tile(vectors.read_vectors(data.query), (times, 1)))
        rows, distances = vectors.read_truth(data.truth)
        vectors.write_truth(truth, np.tile(rows, (times, 1)), np.tile(distances, (times, 1)))
    return query, truth


def leading_queries(data: DataSet, count: int) -> tuple[Path, Path]:
    """(queries, truth) of the first `count`, for searches that read the disk and are slow."""
    if data.queries <= count:
        return data.query, data.truth
    query, truth = data.folder / f"first{count}.query{data.query.suffix}", data.folder / f"first{count}.gt.ibin"
    if not truth.exists():
        vectors.write_vectors(query, vectors.read_vectors(data.query)[:count])
        rows, distances = vectors.read_truth(data.truth)
        vectors.write_truth(truth, rows[:count], distances[:count])
    return query, truth
