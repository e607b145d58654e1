"""``python -m sad_lightning.inspect DATA``: look at a table or a folder of images before anything is trained.

Prints every column (type, missing, distinct values, range, what is proposed), the column of the labels and what its
words mean, all that is wrong at once, and the command that trains. ``--write`` puts the settings into a yaml instead,
to be edited: ``my_conf/data/NAME.yaml`` for ``python -m sad_lightning --config-dir my_conf data=NAME``.
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sad_lightning.command import command_frame, command_parser
from sad_lightning.config.options import options_of
from sad_lightning.data.own.image_folder import SUFFIXES
from sad_lightning.data.own.parts import is_many
from sad_lightning.data.own.values import setting
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.inspect.columns import profile_table
from sad_lightning.inspect.pictures import profile_images
from sad_lightning.inspect.proposal import propose
from sad_lightning.inspect.text import config_command, label_text, table_text, train_command, yaml_files


def main() -> None:
    """Print what was seen, and what is proposed."""
    parser = command_parser("inspect", __doc__, "parts.csv --write my_conf")
    parser.add_argument(
        "data",
        metavar="DATA",
        type=Path,
        help="csv, tsv, txt, parquet, npz, a folder or a pattern of them, or a folder of images",
    )
    parser.add_argument("--label", metavar="COLUMN", help="the column of the labels, where it is not recognised")
    parser.add_argument(
        "--write", type=Path, metavar="PATH", help="write a data yaml: FOLDER, or FOLDER/data/NAME.yaml"
    )
    arguments = parser.parse_args()
    with command_frame("sad_lightning.inspect", way_out="choose another with --write"):
        print(_pictures(arguments) if _holds_pictures(arguments.data) else _table(arguments))


def _holds_pictures(data: Path) -> bool:
    """Whether this is a folder of images, beside which a table may lie, or one of nothing that can be read."""
    if not data.is_dir():
        return False
    return not is_many([str(data)]) or any(file.suffix.lower() in SUFFIXES for file in data.rglob("*"))


def _table(arguments: argparse.Namespace) -> str:
    table = profile_table(arguments.data)
    proposal = propose(table, arguments.label)
    settings = proposal.settings(table)
    spelling = ", ".join(
        f"{key.replace('_', ' ')} {value!r}"
        for key, value in settings.items()
        if key in ("delimiter", "decimal", "encoding", "header", "skip_rows")
    )
    head = f"{table.path}: {table.rows:,} rows, {len(table.columns):,} columns{', ' + spelling if spelling else ''}"
    command_line = train_command(settings, proposal.preset())
    after = _next(arguments, "table", settings, proposal.ignore, proposal.preset(), command_line)
    seen = (head, table_text(table, proposal), label_text(table, proposal.label), _problem_list(proposal.problems))
    return "\n\n".join(filter(None, (*seen, after)))


def _pictures(arguments: argparse.Namespace) -> str:
    pictures = profile_images(arguments.data)
    settings = pictures.settings()
    total = sum(pictures.classes.values())
    sizes = ", ".join(f"{w} x {h}" for (w, h), _ in pictures.sizes.most_common(3))
    layout = "" if pictures.layout is None else f", in the layout of {pictures.layout.name}"
    lines = [f"{pictures.path}: {total:,} images, {sizes}{', ...' if len(pictures.sizes) > 3 else ''}{layout}"]
    lines += [f"  {name or '(no folder)':<26}{count:>9,} images" for name, count in sorted(pictures.classes.items())]
    lines += [f"  part {name:<21}{count:>9,} images" for name, count in pictures.parts.items()]
    if pictures.layout is not None:
        marked = sum(each.mask is not None for each in pictures.layout.pictures)
        lines.append(f"  {'with a mask':<26}{marked:>9,} images")
    kind = "folder" if pictures.layout is None else "images"
    words = [setting(f"data.{key}", value) for key, value in settings.items()]
    command_line = " ".join([f"python -m sad_lightning data={kind}", *words])
    after = _next(arguments, kind, settings, {}, None, command_line)
    return "\n\n".join(filter(None, ("\n".join(lines), _problem_list(pictures.problems()), after)))


def _problem_list(problems: Iterable[str]) -> str:
    return "\n".join(f"  look at: {problem}" for problem in problems)


def _next(
    arguments: argparse.Namespace, kind: str, settings: Mapping[str, Any], reasons: Mapping[str, str],
    preset: str | None, command_line: str,
) -> str:  # fmt: skip
    """The command that trains, or what was written and the command that trains with it."""
    if arguments.write is None:
        return f"To train:\n  {command_line}"
    path = _yaml_path(arguments.write, arguments.data)
    for file, text in yaml_files(path, kind, settings, reasons).items():
        with whole_file(file) as part:
            part.write_text(text, encoding="utf-8")
    return f"Written: {path}\nTo train:\n  {config_command(path, preset)}"


def _yaml_path(where: Path, data: Path) -> Path:
    """Where the data yaml goes: below a folder called data, as Hydra's group of data sets is."""
    if where.suffix not in (".yaml", ".yml"):
        name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in data.name.split(".")[0])
        return where / "data" / f"{f'own_{name}' if name in options_of('data') or not name else name}.yaml"
    if where.suffix == ".yml" or where.stem in options_of("data"):
        rule = "end in .yaml" if where.suffix == ".yml" else "have a name that no data set has"
        raise InputError(f"--write {where}: must {rule}; choose another, for example my_conf/data/mine.yaml")
    return where if where.parent.name == "data" else where.parent / "data" / where.name


if __name__ == "__main__":
    main()
