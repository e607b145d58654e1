"""Features are computed once, whoever asks for them and however often; what was killed goes on."""

import fcntl
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from sad_lightning.backbones import FeatureExtractor, features
from sad_lightning.backbones.features import cached_features

CPU = torch.device("cpu")


class Counting(FeatureExtractor):
    """Mean colours instead of a network, and how many images were seen."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.name, self.size, self.unit, self.seen = "mean", 64, False, 0
        self.pixels = None
        self.register_buffer("factor", torch.ones(1))

    def forward(self, images):
        self.seen += len(images)
        return images.float().mean(dim=(1, 2)) * self.factor


def some_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)


def test_features_are_computed_once_and_it_is_said(tmp_path, capsys):
    images, extractor = some_images(2500), Counting()
    expected = images.astype(np.float32).mean(axis=(1, 2))
    for _ in range(2):
        np.testing.assert_allclose(cached_features(images, extractor, tmp_path, CPU), expected, rtol=1e-5)
    assert extractor.seen == 2500
    assert [line.split(";")[0] for line in capsys.readouterr().err.splitlines()] == [
        "sad_lightning: mean sees 2,500 of 2,500 images"
    ]
    assert len(list(tmp_path.rglob("*.npz"))) == 3
    assert not list(tmp_path.rglob("*.lock"))


def test_the_lock_of_a_killed_process_goes_and_that_of_a_living_one_stays(tmp_path):
    images, extractor = some_images(100), Counting()
    expected = cached_features(images, extractor, tmp_path, CPU)
    (path,) = tmp_path.rglob("*.npz")
    lock = path.with_suffix(".lock")
    with open(lock, "wb") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        np.testing.assert_array_equal(cached_features(images, extractor, tmp_path, CPU), expected)
        assert lock.exists()
    np.testing.assert_array_equal(cached_features(images, extractor, tmp_path, CPU), expected)
    assert not lock.exists()


def test_more_images_compute_only_what_is_new(tmp_path):
    images, extractor = some_images(2500), Counting()
    cached_features(images[:2000], extractor, tmp_path, CPU)
    cached_features(images, extractor, tmp_path, CPU)
    assert extractor.seen == 2500


def test_other_weights_are_other_features(tmp_path):
    images, extractor = some_images(5), Counting()
    first = cached_features(images, extractor, tmp_path, CPU)
    extractor.factor *= 2
    np.testing.assert_array_equal(cached_features(images, extractor, tmp_path, CPU), 2 * first)


def test_what_was_interrupted_goes_on(tmp_path):
    images, extractor = some_images(3000), Counting()
    forward, chunks = extractor.forward, iter(range(2))

    def stops(batch):
        if len(batch) and extractor.seen >= 2000 and next(chunks) == 0:
            raise KeyboardInterrupt
        return forward(batch)

    extractor.forward = stops
    with pytest.raises(KeyboardInterrupt):
        cached_features(images, extractor, tmp_path, CPU)
    extractor.forward = forward
    cached_features(images, extractor, tmp_path, CPU)
    assert extractor.seen == 3000


def test_two_share_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "_CHUNK", 10)
    images, both = some_images(200), [Counting(), Counting()]
    results: list[np.ndarray] = []
    start = threading.Barrier(2)

    def work(extractor: Counting) -> None:
        start.wait()
        results.append(cached_features(images, extractor, tmp_path, CPU))

    threads = [threading.Thread(target=work, args=(extractor,)) for extractor in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(*results)
    assert both[0].seen + both[1].seen == 200


def test_a_damaged_file_is_set_aside_and_computed_again(tmp_path, capsys):
    images, extractor = some_images(5), Counting()
    expected = cached_features(images, extractor, tmp_path, CPU)
    (path,) = Path(tmp_path).rglob("*.npz")
    path.write_bytes(path.read_bytes()[:-1])
    np.testing.assert_array_equal(cached_features(images, extractor, tmp_path, CPU), expected)
    assert f"{path.name}: must be a file of features {path.stem}" in capsys.readouterr().err
    assert extractor.seen == 10
