"""Files as they come: missing, broken, wrong; and downloads, from a server on this machine."""

import gzip
import hashlib
import http.server
import io
import pickle
import struct
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from torchvision import datasets

from sad_lightning.data.sets import download, images, tabular
from sad_lightning.errors import InputError


class Server(http.server.ThreadingHTTPServer):
    """Serves files; while it is ``broken`` answers break off half way, and while ``going`` is not set they wait."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.broken, self.going, self.served = False, threading.Event(), list[str]()
        self.address = f"http://127.0.0.1:{self.server_address[1]}/"
        self.going.set()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.server.going.wait(5)
        content = self.server.files.get(self.path.removeprefix("/"))
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        content = self.server.files.get(self.path.removeprefix("/"), b"")
        self.server.served.append(self.path)
        self.wfile.write(content[: len(content) // 2] if self.server.broken else content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.going.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def cardio(server, tmp_path, monkeypatch) -> Path:
    """The server has a small cardio; where it is to be in the end."""
    raw = {"X": np.random.default_rng(0).random((50, 4)), "y": np.zeros((50, 1))}
    scipy.io.savemat(tmp_path / "made.mat", raw)
    server.files["cardio.mat"] = (tmp_path / "made.mat").read_bytes()
    monkeypatch.setitem(tabular._ODDS, "cardio", (f"{server.address}cardio.mat", images.content_digest(raw)))
    return tmp_path / "root" / "odds" / "cardio.mat"


def fetch_cardio(path: Path) -> None:
    assert tabular.odds("cardio", str(path.parent.parent)).x.shape == (50, 4)


def test_a_download_that_broke_off_leaves_nothing_and_the_next_one_is_whole(server, cardio):
    server.broken = True
    check(lambda: fetch_cardio(cardio), "cardio.mat", "not a whole .mat file")
    assert list(cardio.parent.iterdir()) == []
    server.broken = False
    fetch_cardio(cardio)
    assert [path.name for path in cardio.parent.iterdir()] == ["cardio.mat"]
    assert cardio.read_bytes() == server.files["cardio.mat"]
    served = list(server.served)
    fetch_cardio(cardio)
    assert server.served == served  # in place: no network


def test_a_file_that_nobody_has_is_one_line_with_the_way_out(server, cardio):
    del server.files["cardio.mat"]
    check(lambda: fetch_cardio(cardio), "cardio.mat", "HTTP Error 404: Not Found); try again later, put the file there")
    assert list(cardio.parent.iterdir()) == []


def test_a_transfer_that_stalls_ends(server, cardio, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 0.1)
    server.going.clear()
    check(lambda: fetch_cardio(cardio), "cardio.mat", "timed out")
    assert list(cardio.parent.iterdir()) == []


def test_a_folder_that_can_not_be_written_is_one_line(server, cardio):
    cardio.parent.parent.write_text("a file where a folder should be")
    check(lambda: fetch_cardio(cardio), "data.root", "choose another folder")


@pytest.mark.parametrize(("content", "words"), [(None, "sha256 differs"), (b"<html>", "not a whole .mat file")])
def test_a_downloaded_file_of_other_content_is_refused_and_removed(content, words, server, cardio, monkeypatch):
    if content is None:
        monkeypatch.setitem(tabular._ODDS, "cardio", (f"{server.address}cardio.mat", "0" * 64))
    else:
        server.files["cardio.mat"] = content
    check(lambda: fetch_cardio(cardio), "cardio.mat", words)
    assert list(cardio.parent.iterdir()) == []


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("name", "kind"), [("mnist", datasets.MNIST), ("fashion_mnist", datasets.FashionMNIST)], ids=["mnist", "fashion"]
)
def test_idx_files_become_the_one_cache_layout(name, kind, server, tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    raw, resources = {}, []
    for half, stem, n in (("train", "train", 12), ("test", "t10k", 5)):
        raw[f"{half}_images"] = generator.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        raw[f"{half}_labels"] = generator.integers(0, 10, n).astype(np.uint8)
        for part, suffix in (("images", "images-idx3"), ("labels", "labels-idx1")):
            values = raw[f"{half}_{part}"]
            header = struct.pack(f">{1 + values.ndim}i", 0x800 + values.ndim, *values.shape)
            content = gzip.compress(header + values.tobytes())
            server.files[f"{stem}-{suffix}-ubyte.gz"] = content
            resources.append((f"{stem}-{suffix}-ubyte.gz", md5(content)))
    monkeypatch.setattr(kind, "resources", resources)
    monkeypatch.setattr(kind, "mirrors", ["http://127.0.0.1:1/", server.address])  # nobody answers there
    load = getattr(images, name)
    check(lambda: load(str(tmp_path)), f"{name}.npz", "is not the published data")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(images._DIGESTS, name, images.content_digest(raw))
    server.broken = True
    check(lambda: load(str(tmp_path)), f"{name}.npz", "downloading it fails")
    assert list(tmp_path.iterdir()) == []
    server.broken = False
    arrays = load(str(tmp_path))
    assert (arrays.x.shape, arrays.n_train) == ((17, 28, 28, 1), 12)
    np.testing.assert_array_equal(arrays.x[:12, ..., 0], raw["train_images"])
    np.testing.assert_array_equal(arrays.target_class[12:], raw["test_labels"])
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.npz"]
    server.files = {}  # the second time nothing is downloaded
    np.testing.assert_array_equal(load(str(tmp_path)).x, arrays.x)
    assert images.verify(name, str(tmp_path))
    monkeypatch.setitem(images._DIGESTS, name, "0" * 64)
    assert not images.verify(name, str(tmp_path))


def test_the_cifar_archive_becomes_the_one_cache_layout(server, tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    names = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
    batches = {
        name: {"data": generator.integers(0, 256, (3, 3072)).astype(np.uint8), "labels": [1, number, 7]}
        for number, name in enumerate(names)
    }
    files = {name: pickle.dumps(batch, protocol=2) for name, batch in batches.items()}
    files["batches.meta"] = pickle.dumps({"label_names": list("abcdefghij")}, protocol=2)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    server.files["cifar.tar.gz"] = archive.getvalue()
    changes = {
        "url": f"{server.address}cifar.tar.gz",
        "tgz_md5": md5(archive.getvalue()),
        "train_list": [[name, md5(files[name])] for name in names[:5]],
        "test_list": [["test_batch", md5(files["test_batch"])]],
        "meta": {"filename": "batches.meta", "key": "label_names", "md5": md5(files["batches.meta"])},
    }
    for attribute, value in changes.items():
        monkeypatch.setattr(datasets.CIFAR10, attribute, value)
    check(lambda: images.cifar10(str(tmp_path)), "cifar10.npz", "is not the published data")
    monkeypatch.setattr(images, "content_digest", lambda raw: images._DIGESTS["cifar10"])
    arrays = images.cifar10(str(tmp_path))
    assert (arrays.n_train, len(arrays.x), arrays.shape) == (15, 18, (3, 32, 32))
    assert arrays.target_class.tolist() == [1, 0, 7, 1, 1, 7, 1, 2, 7, 1, 3, 7, 1, 4, 7, 1, 5, 7]
    second = batches["data_batch_1"]["data"][1]  # 1,024 bytes of each colour
    assert arrays.x[1, 2, 5].tolist() == [second[32 * 2 + 5 + 1024 * colour] for colour in range(3)]
    assert [path.name for path in tmp_path.iterdir()] == ["cifar10.npz"]
    (tmp_path / "cifar10.npz").unlink()
    server.files["cifar.tar.gz"] = b"another"
    check(lambda: images.cifar10(str(tmp_path)), "cifar10.npz", "File not found or corrupted")


def test_the_landsat_archive_becomes_the_one_cache_layout(server, tmp_path, monkeypatch):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("sat.trn", "1 2 3 7\n4 5 6 1\n")
        file.writestr("sat.tst", "7 8 9 5\n")
    server.files = {"landsat.zip": archive.getvalue(), "other.zip": b"<html>"}
    monkeypatch.setattr(tabular, "_LANDSAT", f"{server.address}other.zip")
    check(lambda: tabular.landsat(str(tmp_path)), "landsat.npz", "is not the StatLog archive")
    monkeypatch.setattr(tabular, "_LANDSAT", f"{server.address}landsat.zip")
    check(lambda: tabular.landsat(str(tmp_path)), "landsat.npz", "is not the published data")
    assert list(tmp_path.iterdir()) == []
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
    check(lambda: tabular.table_arrays(Path("own.mat"), x, y, ("normal", "anomaly")), "own.mat", words)


def test_constant_columns_are_warned_about_with_their_count():
    with pytest.warns(UserWarning, match="2 of 3 columns are constant"):
        tabular.table_arrays(Path("own.mat"), np.array([[1, 2, 3], [1, 5, 3.0]]), np.array([0, 1]), ("a", "b"))


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


def test_a_published_set_that_changed_on_disk_is_told(tmp_path, real_data):
    raw = scipy.io.loadmat(Path(real_data) / "odds" / "cardio.mat", variable_names=["X", "y"])
    (tmp_path / "odds").mkdir()
    scipy.io.savemat(tmp_path / "odds" / "cardio.mat", {"X": raw["X"], "y": raw["y"]})
    tabular.odds("cardio", str(tmp_path))  # however it is stored
    raw["X"][7, 3] += 1e-3
    scipy.io.savemat(tmp_path / "odds" / "cardio.mat", {"X": raw["X"], "y": raw["y"]})
    with pytest.warns(UserWarning, match=r"^cardio\.mat: is not what was published"):
        tabular.odds("cardio", str(tmp_path))
