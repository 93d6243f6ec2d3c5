# SPDX-License-Identifier: Apache-2.0
"""Files of vectors and of exact neighbours, and recall as VecStore counts it.

Layouts (little endian): u32 rows, u32 dim, then rows × dim values; exact neighbours: u32 queries, u32 k, then queries
× k u32 row numbers, then as many f32 distances.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

DTYPES = {".fbin": np.float32, ".f16bin": np.float16, ".u8bin": np.uint8, ".i8bin": np.int8}


def shape_of(path: Path) -> tuple[int, int]:
    """(rows, dim) of a file whose length has been compared with its header. ValueError says what is wrong."""
    dtype = DTYPES.get(path.suffix)
    if dtype is None:
        raise ValueError(f"{path}: not one of {', '.join(DTYPES)}")
    head = np.fromfile(path, np.uint32, 2)
    if head.size != 2 or 0 in head:
        raise ValueError(f"{path}: has no header of rows and dimensions")
    rows, dim = int(head[0]), int(head[1])
    expected = 8 + rows * dim * np.dtype(dtype).itemsize
    if path.stat().st_size != expected:
        raise ValueError(f"{path}: {path.stat().st_size} bytes, but its header promises {expected}")
    return rows, dim


def read_vectors(path: Path) -> np.ndarray:
    rows, dim = shape_of(path)
    return np.fromfile(path, DTYPES[path.suffix], offset=8).reshape(rows, dim)


def write_vectors(path: Path, vectors: np.ndarray) -> None:
    """Whole or not at all: written beside and renamed, so that an interrupted run leaves nothing half finished."""
    if vectors.dtype != DTYPES[path.suffix]:
        raise ValueError(f"{path}: asked to hold {vectors.dtype}")
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as out:
        np.array(vectors.shape, np.uint32).tofile(out)
        np.ascontiguousarray(vectors).tofile(out)
    partial.rename(path)


def read_truth(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(rows, distances), each [queries × k]."""
    head = np.fromfile(path, np.uint32, 2)
    if head.size != 2 or 0 in head:
        raise ValueError(f"{path}: has no header of queries and k")
    queries, k = int(head[0]), int(head[1])
    if path.stat().st_size != 8 + queries * k * 8:
        raise ValueError(f"{path}: its length is not that of {queries} × {k} neighbours")
    rows = np.fromfile(path, np.uint32, queries * k, offset=8).reshape(queries, k)
    distances = np.fromfile(path, np.float32, queries * k, offset=8 + queries * k * 4).reshape(queries, k)
    return rows, distances


def write_truth(path: Path, rows: np.ndarray, distances: np.ndarray) -> None:
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as out:
        np.array(rows.shape, np.uint32).tofile(out)
        np.ascontiguousarray(rows, np.uint32).tofile(out)
        np.ascontiguousarray(distances, np.float32).tofile(out)
    partial.rename(path)


def recall(answers: np.ndarray, truth: tuple[np.ndarray, np.ndarray]) -> float:
    """recall@k of answers [queries × k]: an answer counts if the truth lists its row no farther than the k-th true
    distance, so that ties after rank k count too; each row once; divided by k."""
    rows, distances = truth
    k = answers.shape[1]
    counted = distances <= distances[:, k - 1 : k]
    ordered = np.sort(answers, axis=1)
    repeated = np.zeros(answers.shape, bool)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    hits = ((ordered[:, :, None] == rows[:, None, :]) & counted[:, None, :]).any(axis=2) & ~repeated
    return float(hits.sum(axis=1).clip(max=k).mean() / k)


def normalised(vectors: np.ndarray) -> np.ndarray:
    widened = vectors.astype(np.float32)
    lengths = np.linalg.norm(widened, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise ValueError("a vector of length zero has no direction")
    return widened / lengths
