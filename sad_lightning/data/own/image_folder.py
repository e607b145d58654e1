"""Own images, in torchvision's ImageFolder layout, or in one folder with a CSV of labels.

    path/CLASS/x.png                    the folder's name is the label; an image in ``path`` itself has none
    path/train/CLASS/x.png              the uppermost folder is the part: train, validation or test
    path/x.png and labels.csv           a column of files, relative to ``path``, and columns as for a table

Each image is decoded, turned as its EXIF says, made grey or coloured, and resized to a square; only the small image is
kept, one byte for each value. Pillow does this, as in torchvision's ImageFolder and Resize, but without importing
torch, since planning a grid reads the data set too.
"""

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sad_lightning.checks import path_of
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.own.labels import PARTS, as_words, own_labels
from sad_lightning.data.own.reading import read_table
from sad_lightning.data.own.values import Values, listed, spell
from sad_lightning.data.schema import ImageSchema
from sad_lightning.errors import InputError, error_words

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # whatever the name says: Pillow runs Ghostscript for others
_DEEP = {"PNG", "PPM"}  # formats whose mode I holds 16 bits
DAMAGED = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning)
_BATCH = 512
Pixels = NDArray[np.uint8]


def folder(
    path: str,
    size: int,
    channels: int,
    labels: str | None,
    file: str,
    label: str | None,
    known_anomaly: Sequence[object],
    known_normal: Sequence[object],
    unlabeled: Sequence[object],
    truth: str | None,
    normal: Sequence[object],
    part: str | None,
    group: str | None,
) -> Arrays:
    """The images below a folder.

    Args:
        path: the folder.
        size: pixels of a side, after resizing.
        channels: 1 for grey, 3 for colours.
        labels: a CSV, parquet or npz with a row an image; None for the ImageFolder layout.
        file: its column of the files' names.
        label: its column of the labels that training may see.
        known_anomaly: the labels, or class folders, of known anomalies.
        known_normal: those of known normals.
        unlabeled: those of unlabeled images.
        truth: the column that only evaluation sees. Without ``labels`` the class folders are the truth where ``normal``
            names some, but for those of ``unlabeled`` that it does not name.
        normal: its words that are normal.
        part: the column that says train, validation or test.
        group: the column whose images of equal value stay in one part.

    Raises:
        InputError: a setting, the folder or an image is wrong; the message names it.
    """
    top, schema = path_of("data.path", path), image_schema(size, channels)
    columns: dict[str, Values] = {}
    if labels is None:
        for key, value in (("label", label), ("truth", truth), ("part", part), ("group", group)):
            if value is not None:
                raise InputError(f"data.{key}={value} is a column of a file of labels; give it with data.labels=FILE")
        files = image_files(top)
        columns = _of_folders(top, files)
        columns["truth"] = _without(columns["label"], set(as_words(unlabeled)) - set(as_words(normal)))
        if not as_words(normal):
            del columns["truth"]
    else:
        roles = {"label": label, "truth": truth, "part": part, "group": group, "file": file}
        names = {role: str(name) for role, name in roles.items() if name is not None}
        listing = path_of("data.labels", labels)
        table = read_table(listing, list(names.values()))
        for key, name in names.items():
            if name not in table:
                raise InputError(f"data.{key}={name}: {listing} has no such column; it has {listed(list(table))}")
            columns[key] = table[name].as_words()
        files = _files_of(top, listing, columns.pop("file"))
    target, classes, given_labels = own_labels(
        top, len(files), columns, normal=normal,
        known_anomaly=known_anomaly, known_normal=known_normal, unlabeled=unlabeled,
    )  # fmt: skip
    schema = of_depth(files, schema)
    x, readable = load_images(files, schema)
    arrays = Arrays(x, target.astype(np.int64), classes, labels=given_labels, schema=schema)
    return arrays if readable.all() else arrays.rows(readable)


def image_schema(size: int, channels: int) -> ImageSchema:
    """The schema of square images."""
    if channels not in (1, 3):
        raise InputError(f"data.channels must be 1 for grey or 3 for colours, got {channels!r}; for example 3")
    return ImageSchema(size, size, channels)


def image_files(top: Path) -> list[Path]:
    """The images below a folder, by name.

    Raises:
        InputError: it is no folder, or holds none.
    """
    if not top.is_dir():
        raise InputError(f"{top}: must be a folder of images, and is none; give the right one with data.path=FOLDER")
    files = images_below(top)
    if not files:
        raise InputError(f"{top}: must hold images ({', '.join(SUFFIXES)}), it holds none; give another folder")
    return files


def images_below(top: Path) -> list[Path]:
    """The images in a folder and in those below it, linked ones too, by name.

    Hidden files and folders are left out, such as ``.ipynb_checkpoints``, and ``__MACOSX``, of a Mac's archives.
    """
    files, seen = list[Path](), set[str]()
    for at, folders, names in os.walk(top, followlinks=True):
        seen.add(os.path.realpath(at))
        folders[:] = [
            name for name in folders
            if not name.startswith(".") and name != "__MACOSX" and os.path.realpath(os.path.join(at, name)) not in seen
        ]  # fmt: skip
        files += [Path(at, name) for name in names if not name.startswith(".")]
    return sorted(file for file in files if file.suffix.lower() in SUFFIXES and file.is_file())


def read_images(files: Sequence[Path], schema: ImageSchema) -> Iterator[Pixels]:
    """The images, resized, ``(<= 512, H, W, C)`` at a time; decoded by threads.

    Raises:
        InputError: a file is damaged or too large.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(files), _BATCH):
            yield np.stack(list(pool.map(lambda file: _read(file, schema), files[start : start + _BATCH])))


def of_depth(files: Sequence[Path], schema: ImageSchema) -> ImageSchema:
    """The schema with as many bits as the largest value of the files of 16 bits needs; a warning says so.

    A camera of 12 bits leaves the upper four of 16 empty.
    """

    def largest(file: Path) -> int:
        try:
            with Image.open(file, formats=FORMATS) as image:
                return int(np.asarray(image).max()) if _is_deep(image) else 0
        except DAMAGED:
            return 0  # which load_images tells

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        values = [value for value in pool.map(largest, files) if value]
    bits = max(8, max(values, default=2**16 - 1).bit_length())
    if bits < 16:
        warnings.warn(
            f"{len(values)} images of 16 bits use {bits} of them, up to {max(values)}, and are read so; brighter ones "
            f"become white",
            stacklevel=3,
        )
    return replace(schema, bits=bits)


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in _DEEP)


def load_images(files: Sequence[Path], schema: ImageSchema) -> tuple[Pixels, NDArray[np.bool_]]:
    """All images, resized, ``(N, H, W, C)``, and which could be read, ``(N,)``; a warning names the others.

    Raises:
        InputError: none can be read.
    """
    x = np.zeros((len(files), schema.height, schema.width, schema.channels), dtype=np.uint8)

    def read(row: int) -> InputError | None:
        try:
            x[row] = _read(files[row], schema)
        except InputError as error:
            return error
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = list(pool.map(read, range(len(files))))
    damaged = [file for file, error in zip(files, errors, strict=True) if error is not None]
    if len(damaged) == len(files):
        raise next(error for error in errors if error is not None)
    if damaged:
        warnings.warn(
            f"{len(damaged)} of {len(files)} images can not be read and are left out: {listed([*map(str, damaged)])}",
            stacklevel=3,
        )
    return x, np.array([error is None for error in errors])


def _read(file: Path, schema: ImageSchema) -> Pixels:
    try:
        with Image.open(file, formats=FORMATS) as image:
            ImageOps.exif_transpose(image, in_place=True)
            mode = "L" if schema.channels == 1 else "RGB"
            deep = _is_deep(image)
            if image.mode in {"I", "F"} and not deep:
                raise ValueError(f"mode {image.mode} says of no value how bright it is, save it with 8 or 16 bits")
            bytewise = Image.fromarray(_upper_eight(np.asarray(image), schema.bits)) if deep else image
            small = bytewise.convert(mode).resize((schema.width, schema.height), Image.Resampling.BILINEAR)
    except DAMAGED as error:
        reason = error_words(error)
        raise InputError(f"{file}: must be a whole image, but reading it fails ({reason}); remove it") from error
    return np.asarray(small, dtype=np.uint8).reshape(schema.height, schema.width, schema.channels)


def _upper_eight(values: NDArray[Any], bits: int) -> Pixels:
    pixels: Pixels = np.minimum(values >> (bits - 8), 255).astype(np.uint8)
    return pixels


def _of_folders(top: Path, files: Sequence[Path]) -> dict[str, Values]:
    """The label of each file, and its part if the uppermost folders are parts, from its path."""
    places = [file.relative_to(top).parts[:-1] for file in files]
    columns = {}
    if all(place and place[0] in PARTS for place in places):
        columns["part"] = _as_values([place[0] for place in places])
        places = [place[1:] for place in places]
    columns["label"] = _as_values([spell(place[0]) if place else None for place in places])
    return columns


def _as_values(names: Sequence[str | None]) -> Values:
    words = tuple(sorted({name for name in names if name is not None}))
    code = {name: float(number) for number, name in enumerate(words)}
    return Values("category", np.array([np.nan if name is None else code[name] for name in names]), words)


def _without(values: Values, words: set[str]) -> Values:
    """The values with some words missing."""
    return _as_values([None if name in words else name for name in values.texts()])


def _files_of(top: Path, listing: Path, files: Values) -> list[Path]:
    if not top.is_dir():
        raise InputError(f"{top}: must be a folder of images, and is none; give the right one with data.path=FOLDER")
    names: list[str | None] = files.texts().tolist()
    if None in names:
        row = names.index(None) + 1
        raise InputError(f"{listing}: every row must name a file, row {row} names none; mend it")
    paths = [top / str(name) for name in names]
    missing = [str(name) for name, file in zip(names, paths, strict=True) if not file.is_file()]
    if missing:
        raise InputError(f"{listing}: names files that are not in {top}: {listed(missing)}; mend it, or data.path")
    return paths
