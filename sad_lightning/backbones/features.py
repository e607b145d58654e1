"""Features of images, computed once: cached by the content of the images, the weights and how these are fed.

The cache holds a file for each thousand images. So what was killed goes on where it was, and processes that want the
same features at the same time, such as the workers of a grid, share the work: each takes the files that no other is
at. Features are kept in float32, so that a cell sees the very numbers that its model file will.
"""

import fcntl
import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sad_lightning.backbones.extractor import FeatureExtractor
from sad_lightning.command import row_progress
from sad_lightning.files import read_archive, unless_damaged, write_archive

_CHUNK = 1000  # images of a file,
_CHUNK_VALUES = 2**24  # and at most so many values of patches
_FORMAT = 1  # raised when equal weights give other features

Features = NDArray[np.float32]


def cached_features(
    images: NDArray[np.uint8], extractor: FeatureExtractor, cache: Path, device: torch.device
) -> Features:
    """The features of images, ``(N, H, W, C)`` to ``(N, D)``, or patches ``(N, h, w, D)``, from the cache if there."""
    folder = cache / _digest_of(extractor)
    size = max(1, min(_CHUNK, _CHUNK_VALUES // math.prod(extractor.patches()))) if extractor.stages else _CHUNK
    chunks = np.split(images, range(size, len(images), size))
    paths = [folder / f"{_digest_of_images(chunk)}.npz" for chunk in chunks]
    features = {path: stored for path in paths if (stored := _read(path)) is not None}
    for path in features:
        if path.with_suffix(".lock").exists():  # of a process that was killed before it removed it
            with _lock(path, wait=False):
                pass
    missing = {path: chunk for path, chunk in zip(paths, chunks, strict=True) if path not in features}
    count = sum(map(len, missing.values()))
    if missing:
        print(
            f"sad_lightning: {extractor.name} sees {count:,} of {len(images):,} images; features are kept in {folder}",
            file=sys.stderr,
        )
        with row_progress(count) as bar:
            for path, computed in _shared(missing, extractor.to(device), device):
                features[path] = computed
                bar.update(len(computed))
    return np.concatenate([features[path] for path in paths])


def _shared(
    missing: dict[Path, NDArray[np.uint8]], extractor: FeatureExtractor, device: torch.device
) -> Iterator[tuple[Path, Features]]:
    """The features of each file: first of those that no other process is at, then of what the others have left."""
    left = dict(missing)
    for wait in (False, True):
        for path in list(left):
            with _lock(path, wait=wait) as held:
                if not held:
                    continue
                features = _read(path)
                if features is None:
                    features = _computed(left[path], extractor, device)
                    _write(path, features)
                del left[path]
            yield path, features


def _computed(images: NDArray[np.uint8], extractor: FeatureExtractor, device: torch.device) -> Features:
    with torch.inference_mode():
        batches = torch.split(torch.from_numpy(images), extractor.batch)
        features: Features = torch.cat([extractor(batch.to(device)).cpu() for batch in batches]).numpy()
    return features


def _write(path: Path, features: Features) -> None:
    write_archive(path, _kind(path), lambda file: np.savez(file, features=features))


def _read(path: Path) -> Features | None:
    """What the file holds; None where it is not there, or damaged and set aside."""

    def read() -> Features:
        with np.load(read_archive(path, _kind(path)), allow_pickle=False) as file:
            features: Features = file["features"]
        return features

    return unless_damaged(path, read)


def _kind(path: Path) -> str:
    return f"file of features {path.stem}"


def _digest_of(extractor: FeatureExtractor) -> str:
    """Names the weights and how they are fed."""
    recipe = {name: value for name, value in extractor.recipe().items() if name != "pixels"}
    digest = blake2b(json.dumps({"format": _FORMAT, **recipe}).encode(), digest_size=10)
    for name, value in extractor.state_dict().items():
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _digest_of_images(images: NDArray[np.uint8]) -> str:
    digest = blake2b(repr(images.shape).encode(), digest_size=10)
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


@contextmanager
def _lock(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock of a file that is to be written, which goes with the process; whether it is held.

    Whoever waited for it looks again whether the file is there: that a lock is removed can cost time, never more.
    """
    lock = path.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            lock.unlink(missing_ok=True)
