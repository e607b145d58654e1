"""The frame of all commands: both ways to name one, help and version, and what a mistake ends in."""

import errno
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sad_lightning
from sad_lightning.__main__ import main
from sad_lightning.command import VERSION, command_frame, progress
from sad_lightning.errors import InputError, extra
from sad_lightning.files import whole_file

ROOT = Path(__file__).resolve().parent.parent
VERBS = sorted(path.parent.name for path in (ROOT / "sad_lightning").glob("*/__main__.py"))
PARSERS = [verb for verb in VERBS if verb != "train"]  # whose arguments Hydra reads


def answer(run, arguments, monkeypatch, capsys) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["sad_lightning", *arguments])
    with pytest.raises(SystemExit) as stopped:
        run()
    return stopped.value.code, capsys.readouterr().out


@pytest.mark.parametrize(("given", "expected"), [("", "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_somebody_says_otherwise(given, expected, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", given)
    if not given:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    with command_frame("a command"):
        assert os.environ["OMP_WAIT_POLICY"] == expected


@pytest.mark.parametrize("verb", PARSERS)
def test_a_verb_is_the_module_of_its_name(verb, monkeypatch, capsys):
    module = import_module(f"sad_lightning.{verb}.__main__")
    code, text = answer(module.main, ["--help"], monkeypatch, capsys)
    assert code == 0
    assert answer(main, [verb, "--help"], monkeypatch, capsys) == (0, text)
    assert answer(main, [verb, "--version"], monkeypatch, capsys) == (0, f"{VERSION}\n")
    first, *_ = module.__doc__.splitlines()
    assert first.startswith(f"``python -m sad_lightning.{verb}")
    assert first.replace("``", "").split(":")[0] in text


@pytest.mark.parametrize("verb", PARSERS)
def test_the_example_of_the_help_is_understood(verb, monkeypatch, capsys):
    class Understood(Exception):
        pass

    def frame(*args, **kwargs):
        raise Understood

    module = import_module(f"sad_lightning.{verb}.__main__")
    _, text = answer(module.main, ["--help"], monkeypatch, capsys)
    example = shlex.split(re.search(r"example:\n  (.*)", text)[1])
    assert example[:3] == ["python", "-m", f"sad_lightning.{verb}"]
    monkeypatch.setattr(module, "command_frame", frame)
    monkeypatch.setattr(sys, "argv", example[2:])
    with pytest.raises(Understood):
        module.main()


def test_train_is_what_the_bare_command_does():
    def settings(*words: str) -> str:
        command = [sys.executable, "-m", *words, "--cfg", "job", "method=hsc"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    bare = settings("sad_lightning")
    assert "HSC" in bare
    assert settings("sad_lightning", "train") == settings("sad_lightning.train") == bare


def test_the_version_needs_no_settings(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sad_lightning", "--version"])
    main()
    assert capsys.readouterr().out == f"sad_lightning {sad_lightning.__version__}\n"


def test_a_word_that_is_no_command_names_those_there_are(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sad_lightning", "predikt", "model.pt"])
    with pytest.raises(SystemExit, match="2"):
        main()
    error = capsys.readouterr().err
    assert error.startswith("sad_lightning: predikt: is neither a command nor a setting KEY=VALUE; there are audit, ")
    assert error.count("\n") == 1


def test_no_help_waits_for_torch():
    script = f"""
import sys
from importlib import import_module
for verb in {PARSERS!r}:
    sys.argv = [verb, "--help"]
    try:
        import_module(f"sad_lightning.{{verb}}.__main__").main()
    except SystemExit as stop:
        assert stop.code == 0, verb
    assert "torch" not in sys.modules, verb
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


class Closed:
    """A pipe whose reader went away."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def fileno(self) -> int:
        return self.descriptor

    def flush(self) -> None:
        raise BrokenPipeError


ENDINGS = {
    "a mistake": (InputError("x: must be\n  a number"), 2, "it: x: must be a number\n"),
    "a whole file in a value": (InputError(f"x: holds {'a' * 10**6}; mend it"), 2, "it: x: holds aaa"),
    "no such file": (FileNotFoundError(errno.ENOENT, "No such file", "x.csv"), 2, "it: x.csv: No such file; give the "),
    "no permission": (PermissionError(errno.EACCES, "Denied", "/x"), 2, "it: /x: Denied; choose another with --out\n"),
    "a full disk": (OSError(errno.ENOSPC, "Full", "/x"), 2, "it: /x: Full; make room, or choose another with --out\n"),
    "a full disk, unnamed": (OSError(errno.ENOSPC, "Full"), 2, "it: Full; make room, or choose another with --out\n"),
    "a file for a folder": (ValueError("in call"), 2, "it: t.csv: Not a folder; choose another with --out\n"),
    "no memory": (MemoryError("8 TB\nof it"), 2, "it: memory does not suffice (8 TB); free some, or "),
    "no memory for a tensor": (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 16000000000 bytes"),
        2,
        "it: memory does not suffice (DefaultCPUAllocator: can't allocate memory: you",
    ),
    "a path that is none": (ValueError("embedded null byte"), 2, "it: a path must not hold the character of number 0"),
    "a name of other bytes": (
        UnicodeEncodeError("utf-8", "x\udcff", 1, 2, "surrogates not allowed"),
        2,
        "it: x?: must be a name in UTF-8; rename it",
    ),
    "Ctrl-C": (KeyboardInterrupt(), 130, "it: interrupted; nothing was written\n"),
    "a killed worker": (KeyboardInterrupt("two workers stopped"), 130, "it: two workers stopped\n"),
}


ENDINGS["a file for a folder"][0].__cause__ = NotADirectoryError(errno.ENOTDIR, "Not a folder", "t.csv")


@pytest.mark.parametrize("name", ENDINGS)
def test_what_a_user_can_mend_is_one_line_and_an_exit_code(name, capsys):
    error, code, words = ENDINGS[name]
    with pytest.raises(SystemExit) as stopped, command_frame("it"):
        raise error
    assert stopped.value.code == code
    said = capsys.readouterr().err
    assert said.startswith(words)
    assert said.count("\n") == 1
    assert len(said) < 3000


def test_a_current_folder_that_is_gone_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit, match="2"), command_frame("it"):
        os.getcwd()
    assert capsys.readouterr().err == "it: the current folder is gone; change to one that is there\n"


@pytest.mark.parametrize("verb", PARSERS)
def test_what_a_parser_refuses_is_one_line(verb, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sad_lightning", "--of-no\nkind"])
    with pytest.raises(SystemExit, match="2"):
        import_module(f"sad_lightning.{verb}.__main__").main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m sad_lightning.{verb}: ")
    assert line.endswith("; --help lists the options")


def test_a_terminal_that_can_not_write_a_letter_gets_another(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    with command_frame("it"):
        print("Größe")
    assert written.getvalue() == b"Gr??e\n"


def test_without_a_terminal_nothing_is_said(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with command_frame("it"):
        print("to nobody")


def test_where_stderr_is_closed_a_mistake_still_has_its_exit_code(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with command_frame("it"):
        sys.stderr.write("as Hydra does")
    with pytest.raises(SystemExit) as stopped, command_frame("it"):
        raise InputError("x: must be a number")
    assert stopped.value.code == 2


def test_a_reader_that_goes_away_is_no_mistake(monkeypatch, capsys, tmp_path):
    file = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    monkeypatch.setattr(sys, "stdout", Closed(file))
    with pytest.raises(SystemExit, match="1"), command_frame("it"):
        pass
    assert capsys.readouterr().err == ""
    os.write(file, b"goes nowhere")
    os.close(file)
    assert (tmp_path / "out").read_bytes() == b""


def test_a_pipe_of_a_worker_is_no_reader_where_stdout_is_no_file(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with pytest.raises(BrokenPipeError, match="of a worker"), command_frame("it"):
        raise BrokenPipeError("of a worker")


def test_an_extra_that_is_broken_says_how_and_one_that_is_missing_its_name():
    with (
        pytest.raises(InputError, match=r"^x can not be imported: multiarray failed; pip install"),
        extra("boost", "x"),
    ):
        raise ImportError("multiarray failed")
    with pytest.raises(InputError, match=r"^x needs nowhere; pip install"), extra("boost", "x"):
        importlib.import_module("nowhere.at_all")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_that_nobody_reads_ends_a_command_quietly(unbuffered):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "sad_lightning.data", "list"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize("bug", [ValueError("x"), KeyError("x"), OSError("x"), BrokenPipeError("of a worker")])
def test_a_bug_keeps_its_traceback(bug):
    with pytest.raises(type(bug)), command_frame("it"):
        raise bug


def test_a_write_that_fails_names_the_file(tmp_path):
    path = tmp_path / "scores.csv"
    with pytest.raises(OSError, match="Full") as caught, whole_file(path):
        raise OSError(errno.ENOSPC, "Full")  # which a write does not name
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="Failed") as caught, whole_file(path):
        raise FileNotFoundError(errno.ENOENT, "Failed to open")  # as Arrow says where a folder takes no file
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="Read-only") as caught, whole_file(path) as part:
        raise OSError(errno.EROFS, "Read-only", str(part))
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="Gone") as caught, whole_file(path):
        raise OSError(errno.ENOENT, "Gone", "other.csv")
    assert caught.value.filename == "other.csv"
    assert not list(tmp_path.iterdir())


def test_no_bar_where_nobody_looks(capsys):
    assert list(progress([1, 2], unit="row")) == [1, 2]
    assert capsys.readouterr().err == ""
