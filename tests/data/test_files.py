"""Files as they come: missing, broken, wrong; and downloads that break off."""

import gzip
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from sad_lightning.data.sets import images, tabular
from sad_lightning.data.sets.download import fetch
from sad_lightning.errors import InputError

BODY = np.random.default_rng(0).bytes(700_000)


class Server(http.server.ThreadingHTTPServer):
    broken = 0  # how many answers still break off half way
    requests: list[str | None]
    body = BODY


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        if self.path != "/file":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        rest = self.server.body[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.server.broken:
            self.server.broken -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    with Server(("127.0.0.1", 0), Handler) as served:
        served.requests = []
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield served, f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()
        thread.join()


def test_download_resumes_where_it_broke_off(server, tmp_path):
    served, address = server
    served.broken = 1
    path = tmp_path / "deep" / "file"
    with pytest.raises(InputError, match="broke off"):
        fetch([f"{address}/file"], path)
    assert not path.exists()
    assert fetch([f"{address}/file"], path).read_bytes() == BODY
    assert served.requests == [None, "bytes=350000-"]
    fetch([f"{address}/file"], path)
    assert len(served.requests) == 2  # in place: no network
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_download_tries_the_next_mirror_and_tells_when_none_answers(server, tmp_path):
    _, address = server
    assert fetch([f"{address}/gone", f"{address}/file"], tmp_path / "file").read_bytes() == BODY
    with pytest.raises(InputError, match="put the file there by hand") as raised:
        fetch([f"{address}/gone"], tmp_path / "other")
    assert "404" in str(raised.value)


@pytest.mark.parametrize("valid", [True, False])
def test_a_downloaded_file_of_other_content_is_refused_and_removed(valid, server, tmp_path, monkeypatch):
    served, address = server
    if valid:
        scipy.io.savemat(tmp_path / "other.mat", {"X": np.eye(4), "y": np.zeros((4, 1))})
        served.body = (tmp_path / "other.mat").read_bytes()
    monkeypatch.setitem(tabular._ODDS, "cardio", (f"{address}/file", "0" * 64))
    with pytest.raises(InputError, match="sha256 differs" if valid else "whole .mat file"):
        tabular.odds("cardio", str(tmp_path))
    assert list((tmp_path / "odds").iterdir()) == []


def test_idx_files_become_the_one_cache_layout(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    raw = {}
    folder = tmp_path / "downloads" / "mnist"
    folder.mkdir(parents=True)
    for half, stem, n in (("train", "train", 12), ("test", "t10k", 5)):
        raw[f"{half}_images"] = generator.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        raw[f"{half}_labels"] = generator.integers(0, 10, n).astype(np.uint8)
        for kind, header, values in (("images-idx3", 16, "images"), ("labels-idx1", 8, "labels")):
            content = bytes(header) + raw[f"{half}_{values}"].tobytes()
            (folder / f"{stem}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
    monkeypatch.setitem(images._DIGESTS, "mnist", images.content_digest(raw))
    fetched = images.mnist(str(tmp_path))
    assert fetched.x.shape == (17, 28, 28, 1)
    assert fetched.n_train == 12
    monkeypatch.setattr(images, "fetch", None)  # the second time nothing is fetched
    again = images.mnist(str(tmp_path))
    np.testing.assert_array_equal(again.x, fetched.x)
    assert images.verify("mnist", str(tmp_path))
    monkeypatch.setitem(images._DIGESTS, "mnist", "0" * 64)
    assert not images.verify("mnist", str(tmp_path))


def test_the_cifar_archive_becomes_the_one_cache_layout(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    rows = {name: generator.integers(0, 10, (3, 3073)).astype(np.uint8) for name in
            (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")}  # fmt: skip
    folder = tmp_path / "downloads" / "cifar10"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, values in rows.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = values.nbytes
            archive.addfile(member, io.BytesIO(values.tobytes()))
    with pytest.raises(InputError, match="content sha256"):
        images.cifar10(str(tmp_path))  # not the published images
    monkeypatch.setattr(images, "content_digest", lambda raw: images._DIGESTS["cifar10"])
    arrays = images.cifar10(str(tmp_path))
    assert (arrays.n_train, len(arrays.x)) == (15, 18)
    second = rows["data_batch_1"][1]
    assert arrays.target_class[1] == second[0]
    assert arrays.x[1, 2, 5].tolist() == [second[1 + 32 * 2 + 5 + 1024 * colour] for colour in range(3)]
    (tmp_path / "cifar10.npz").unlink()
    (folder / "cifar-10-binary.tar.gz").write_bytes(b"cut off")
    with pytest.raises(InputError, match="not the CIFAR-10 archive"):
        images.cifar10(str(tmp_path))
    assert list(folder.iterdir()) == []


def test_the_landsat_archive_becomes_the_one_cache_layout(tmp_path, monkeypatch):
    folder = tmp_path / "downloads"
    folder.mkdir()
    with zipfile.ZipFile(folder / "landsat.zip", "w") as archive:
        archive.writestr("sat.trn", "1 2 3 7\n4 5 6 1\n")
        archive.writestr("sat.tst", "7 8 9 5\n")
    monkeypatch.setattr(tabular, "content_digest", lambda raw: tabular._LANDSAT_DIGEST)
    arrays = tabular.landsat(str(tmp_path))
    assert arrays.x.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert [arrays.classes[c] for c in arrays.target_class] == ["very damp grey soil", "red soil", "vegetation stubble"]


def npz(path: Path, **arrays: np.ndarray) -> None:
    np.savez(path, **arrays)


IMAGES = np.zeros((4, 28, 28), dtype=np.uint8)
LABELS = np.zeros(4, dtype=np.uint8)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"train_images": IMAGES}, "it lacks test_images"),
        ({"train_images": IMAGES.astype(float), "train_labels": LABELS}, "uint8"),
        ({"train_images": IMAGES, "train_labels": LABELS[:2]}, "2 labels"),
        ({"train_images": IMAGES, "train_labels": LABELS + 17}, "class numbers 0 to 9"),
        ({"train_images": IMAGES[:, :20], "train_labels": LABELS}, "test images"),
        (
            {"train_images": np.array([object()] * 4), "train_labels": LABELS},
            "whole npz file of plain arrays",
        ),
    ],
)
def test_wrong_npz(arrays, words, tmp_path):
    rest = {"test_images": IMAGES, "test_labels": LABELS} if len(arrays) > 1 else {}
    npz(tmp_path / "mnist.npz", **arrays, **rest)
    check(lambda: images.mnist(str(tmp_path)), "mnist.npz", words)


def test_truncated_npz_and_mat(tmp_path):
    npz(
        tmp_path / "mnist.npz",
        train_images=IMAGES,
        train_labels=LABELS,
        test_images=IMAGES,
        test_labels=LABELS,
    )
    for keep in (0, 30, 700):
        content = (tmp_path / "mnist.npz").read_bytes()
        (tmp_path / "cifar10.npz").write_bytes(content[:keep])
        check(lambda: images.cifar10(str(tmp_path)), "cifar10.npz", "whole npz file")
    (tmp_path / "odds").mkdir()
    path = tmp_path / "odds" / "cardio.mat"
    scipy.io.savemat(path, {"X": np.random.default_rng(0).random((50, 4)), "y": np.zeros((50, 1))})
    whole = path.read_bytes()
    for keep in (0, 100, 400, len(whole) - 300):
        path.write_bytes(whole[:keep])
        check(lambda: tabular.odds("cardio", str(tmp_path)), "cardio.mat", "whole .mat file")
    scipy.io.savemat(path, {"Z": np.zeros(3)})
    check(lambda: tabular.odds("cardio", str(tmp_path)), "cardio.mat", "must hold X and y")


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.array([[1, np.nan], [3, 4.0]]), np.array([0, 1]), "first: row 0, column 1"),
        (np.array([[1, 2], [np.inf, 4.0]]), np.array([0, 1]), "1 are NaN or infinite"),
        (np.ones((2, 2)), np.array([0, 1, 1]), "3 labels"),
        (np.ones((2, 2)), np.array([0, 5]), "class numbers 0 to 1"),
        (np.array([["a"], ["b"]]), np.array([0, 1]), "must hold numbers"),
    ],
)
def test_wrong_tables(x, y, words):
    check(lambda: tabular.table(Path("own.mat"), x, y, ("normal", "anomaly")), "own.mat", words)


def test_constant_columns_are_warned_about_with_their_count():
    with pytest.warns(UserWarning, match="2 of 3 columns are constant"):
        tabular.table(Path("own.mat"), np.array([[1, 2, 3], [1, 5, 3.0]]), np.array([0, 1]), ("a", "b"))


def check(call, file: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    message = str(raised.value)
    assert file in message
    assert words in message
    assert "\n" not in message


def test_real_files_are_what_was_published(real_data):
    for name in ("mnist", "fashion_mnist", "cifar10"):
        assert images.verify(name, real_data)
    for name in (*tabular._ODDS, "landsat"):
        assert tabular.verify(name, real_data)


@pytest.mark.filterwarnings("ignore:.*columns are constant")
def test_real_sets_have_the_sizes_of_the_papers(real_data):
    sizes = {"arrhythmia": (452, 274, 66), "cardio": (1831, 21, 176), "satellite": (6435, 36, 2036),
             "satimage-2": (5803, 36, 71), "shuttle": (49097, 9, 3511), "thyroid": (3772, 6, 93)}  # fmt: skip
    for name, (rows, columns, anomalies) in sizes.items():
        arrays = tabular.odds(name, real_data)
        assert (*arrays.x.shape, arrays.target_class.sum()) == (rows, columns, anomalies)
    assert images.cifar10(real_data).shape == (3, 32, 32)
    assert np.bincount(tabular.landsat(real_data).target_class).tolist() == [1533, 703, 1358, 626, 707, 1508]
