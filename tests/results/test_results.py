"""An index never gives other numbers than the files: what was changed, damaged or moved is read again."""

import gc
import itertools
import json
import os
from pathlib import Path

import pytest
from support.results import edited, write_grid

from sad_lightning.errors import DamagedError
from sad_lightning.files import printable, read_json
from sad_lightning.report.gather.groups import read
from sad_lightning.report.gather.table import make_table
from sad_lightning.result import FILE, Result
from sad_lightning.results import Index, Results, files_below, nothing_is_garbage


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """A grid whose results were read once."""
    write_grid(tmp_path)
    report(tmp_path)
    return tmp_path


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """The folders whose result is read from its file."""
    folders: list[Path] = []
    read = Result.read
    monkeypatch.setattr(Result, "read", lambda folder: folders.append(folder) or read(folder))
    return folders


def report(runs: Path) -> list:
    """All that a report says of its cells."""
    cells = [cell for group in read([runs]).groups for cell in group.cells]
    return [(cell.folder, cell.auroc, cell.place, cell.roc.interval, cell.roc.recalls.tolist()) for cell in cells]


def indices(runs: Path) -> list[Path]:
    return [runs / ".results.index", runs / ".roc.index"]


def test_results_of_an_index_are_those_of_the_files(runs, reads):
    results = Results(runs)
    names = [name for name, _ in files_below(runs, (FILE,))]
    assert [runs / name for name in names] == sorted(path.parent for path in runs.rglob(FILE))
    indexed = [results.read(name) for name in names]
    assert reads == []
    for name, result in zip(names, indexed, strict=True):
        assert vars(result) == {**vars(Result.read(runs / name)), "history": {}}


def test_what_is_equal_is_read_once_and_gives_the_same_report(runs, reads):
    before = [row.auroc for row in make_table(read([runs]).groups)]
    assert reads == []
    for path in indices(runs):
        path.unlink()
    assert [row.auroc for row in make_table(read([runs]).groups)] == before
    assert len(reads) == len(list(runs.rglob(FILE)))


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[: len(content) // 3] + b"?" + content[len(content) // 3 + 1 :],
        lambda content: content.replace(b"0.", b"1."),
        lambda content: b"\xff\xfe\n" * 5,
        lambda content: b"[" * 10_000,
        lambda content: content + content[: len(content) // 5],
        lambda content: b"\n".join(reversed(content.split(b"\n"))),
    ],
)
def test_a_damaged_index_gives_no_wrong_number(which, damage, runs):
    path = indices(runs)[which]
    for folder in indices(runs):
        folder.unlink()
    expected = report(runs)
    path.write_bytes(damage(path.read_bytes()))
    assert report(runs) == expected
    assert report(runs) == expected  # and is mended
    assert Results(runs).read(next(name for name, _ in files_below(runs, (FILE,))))


def test_a_result_that_was_edited_is_read_again(runs, reads):
    path = next(runs.rglob(FILE))
    at = path.stat()
    with edited(path) as document:
        document["metrics"]["auroc"] = 0.125
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))  # as some tools do
    assert Results(runs).read(str(path.parent.relative_to(runs))).metrics["auroc"] == 0.125
    assert reads == [path.parent]
    assert any(cell[1] == 12.5 for cell in report(runs))
    path.write_text(path.read_text().replace("0.125", "0.126"))
    with pytest.raises(DamagedError, match="checksum"):
        Results(runs).read(str(path.parent.relative_to(runs)))
    assert any("checksum" in line for line in read([runs]).problems)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        Results(runs).read(str(path.parent.relative_to(runs)))
    assert path.parent not in [cell[0] for cell in report(runs)]


def test_scores_that_were_replaced_are_read_again(runs):
    one, other = sorted(runs.rglob("scores.npz"))[:2]
    before = dict(zip([cell[0] for cell in report(runs)], report(runs), strict=True))
    one.write_bytes(other.read_bytes())  # those of another cell
    (without,) = [cell for group in read([runs]).groups for cell in group.cells if cell.folder == one.parent]
    assert without.roc is None
    assert before[one.parent]


def test_an_index_moves_with_its_store_and_is_no_duty(runs, reads, monkeypatch):
    moved = runs.rename(runs.with_name("moved"))
    assert len(report(moved)) == len(list(moved.rglob(FILE)))
    assert reads == []
    moved.chmod(0o500)
    for path in indices(moved):
        path.chmod(0o400)
    monkeypatch.setattr("builtins.open", refuse_to_append(open))
    name = str(next(moved.rglob(FILE)).parent.relative_to(moved))
    results = Results(moved)
    results._index.put("another", (1,), {})
    results.save()
    assert Results(moved).read(name)
    moved.chmod(0o700)
    moved.rename(runs)


def refuse_to_append(open_file):
    def refuse(path, mode="r", *arguments, **options):
        if "a" in mode:
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, mode, *arguments, **options)

    return refuse


def test_an_index_whose_lines_are_mostly_old_is_written_anew(tmp_path):
    path, settings = tmp_path / "index", {"split": {"normal_class": list(range(30))}, "seed": 1}
    sizes = []
    for time in range(1100):
        index = Index(path, "1")
        known = [index.put(name, (time,), {"settings": settings, "value": time}) for name in "ab"]
        assert known[0]["settings"]["split"] is known[1]["settings"]["split"]
        index.save()
        sizes.append(path.stat().st_size)
    assert sum(later < before for before, later in itertools.pairwise(sizes)) == 2
    assert Index(path, "1").get("a", (time,)) == {"settings": settings, "value": time}
    assert Index(path, "1").get("a", (time - 1,)) is None
    assert Index(path, "2").get("a", (time,)) is None  # another version


def test_a_text_that_moves_a_terminal_is_not_taken_from_an_index(tmp_path):
    index = Index(tmp_path / "index", "1")
    index.put("a", (1,), {"warnings": ["\x1b[2J"]})
    index.put("b", (1,), {"warnings": ["é"]})
    index.save()
    assert Index(tmp_path / "index", "1").get("a", (1,)) is None
    assert Index(tmp_path / "index", "1").get("b", (1,)) == {"warnings": ["é"], "settings": {}}


@pytest.mark.parametrize("is_ascii", [True, False])
def test_no_control_character_passes_where_texts_are_not_looked_through(is_ascii, tmp_path):
    path = tmp_path / "a.json"
    for number in [*range(0x300), 0xD800, 0x1F600]:
        text = json.dumps({"text": f"a{chr(number)}b"}, ensure_ascii=is_ascii)
        path.write_text(text, encoding="utf-8", errors="replace")
        assert read_json(path) == printable(json.loads(path.read_text(encoding="utf-8")))


def test_a_link_that_leads_to_itself_hides_no_other_file(tmp_path):
    (tmp_path / "a.json").touch()
    (tmp_path / "b.json").symlink_to("b.json")
    ((name, files),) = files_below(tmp_path, (".json",))
    assert name == ""
    assert files["a.json"]
    assert files["b.json"] == ()


def test_garbage_is_searched_for_again_after_a_mistake():
    def fail():
        with nothing_is_garbage():
            assert not gc.isenabled()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert gc.isenabled()
