"""Pictures of one product in the layout of a published set, as it comes: which pictures train and test is the layout's.

    MVTec AD    train/good, test/good, test/KIND, ground_truth/KIND/NAME_mask.png
    BTAD        train/ok, test/ok, test/ko, ground_truth/ko/NAME.png
    VisA        Data/Images/Normal and /Anomaly, Data/Masks/Anomaly/NAME.png, and the list ../split_csv/1cls.csv; or
                what its own script makes of that: as MVTec AD, but a mask has the name of its picture

Kinds of defects are classes. The normal pictures of ``train`` are unlabeled; a further folder ``train/KIND`` holds
known anomalies.
"""

import csv
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sad_lightning.checks import path_of, whole_number
from sad_lightning.data.arrays import OPEN, UNMARKED, Arrays, Labels
from sad_lightning.data.own.image_folder import (
    DAMAGED,
    FORMATS,
    SUFFIXES,
    image_schema,
    images_below,
    load_images,
    of_depth,
)
from sad_lightning.data.own.values import listed
from sad_lightning.errors import InputError

_NORMAL = ("good", "ok")
_TEST, _VALIDATION = 2, 1
PART_NAMES = {0: "train", _VALIDATION: "validation", _TEST: "test", OPEN: "train"}
_SPLIT = Path("split_csv/1cls.csv")  # of VisA, beside the folders of its products
Masks = NDArray[np.uint8]


class Picture(NamedTuple):
    """A picture of a layout; its kind is the name of its folder, its part is as in ``Labels.part``.

    The mask is a picture of where its defects are; None where there is none.
    """

    file: Path
    kind: str
    part: int
    mask: Path | None


class Layout(NamedTuple):
    """The pictures of one product, by part and name; ``name`` is that of the set whose layout it is."""

    name: str
    normal: str
    pictures: list[Picture]


def images(path: str, size: int, channels: int, labels: str | None, known: int, seed: int) -> Arrays:
    """The pictures of one product, with masks where the layout has any.

    Args:
        path: its folder.
        size: pixels of a side, after resizing.
        channels: 1 for grey, 3 for colours.
        labels: of VisA, a list of its ``split_csv``; None for 1cls.csv.
        known: how many test pictures of each kind become known anomalies that train instead.
        seed: of their choice.

    Raises:
        InputError: a setting is wrong, the folder has another layout, or no picture can be read.
    """
    top, schema = path_of("data.path", path), image_schema(size, channels)
    listing = None if labels is None else path_of("data.labels", labels)
    layout = layout_of(top, listing)
    if layout is None:
        raise InputError(_other_layout(top))
    pictures = layout.pictures
    kinds = (layout.normal, *sorted({each.kind for each in pictures} - {layout.normal}))
    target = np.array([kinds.index(each.kind) for each in pictures])
    part = np.array([each.part for each in pictures], dtype=np.int8)
    part[_known(target, part, whole_number("data.known", known, least=0), seed)] = OPEN
    semi = np.where((target > 0) & (part != _TEST), -1, 0).astype(np.int8)
    schema = of_depth([each.file for each in pictures], schema)
    x, readable = load_images([each.file for each in pictures], schema)
    arrays = Arrays(
        x, target, kinds, schema=schema, masks=_masks(layout, size),
        labels=Labels(semi, (0,), tuple(np.unique(target[semi < 0]).tolist()), part),
    )  # fmt: skip
    return arrays if readable.all() else arrays.rows(readable)


def layout_of(top: Path, listing: Path | None = None) -> Layout | None:
    """The layout of the folder of one product; None where it is none of these.

    The listing is VisA's, of which pictures train; None for its 1cls.csv.

    Raises:
        InputError: VisA's list is not there or damaged.
    """
    if (top / "Data" / "Images").is_dir():
        return _visa(top, top.parent / _SPLIT if listing is None else listing)
    normal = next((name for name in _NORMAL if (top / "train" / name).is_dir()), None)
    if normal is None or not (top / "test").is_dir():
        return None
    marked = {file.stem for file in images_below(top / "ground_truth")}
    name = "BTAD" if normal == "ok" else "MVTec AD"
    if name == "MVTec AD" and marked and not any(stem.endswith("_mask") for stem in marked):
        name = "VisA"
    has_validation = (top / "validation").is_dir()
    parts = (("train", 0 if has_validation else OPEN), ("validation", _VALIDATION), ("test", _TEST))
    return Layout(name, normal, [each for folder, part in parts for each in _by_kind(top, folder, part, normal)])


def _by_kind(top: Path, folder: str, part: int, normal: str) -> Iterator[Picture]:
    for file in images_below(top / folder):
        kind, *_ = file.relative_to(top / folder).parts
        if kind != file.name:
            yield Picture(file, kind, part, None if kind == normal else _mask_of(top / "ground_truth" / kind, file))


def _mask_of(folder: Path, file: Path) -> Path | None:
    names = (f"{file.stem}{end}{suffix}" for end in ("_mask", "") for suffix in (".png", file.suffix, *SUFFIXES))
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _visa(top: Path, listing: Path) -> Layout:
    try:
        with open(listing, encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["object"] == top.name]
            root = top.parent
            pictures = [
                Picture(root / row["image"], row["label"], _TEST if row["split"] == "test" else OPEN,
                        root / row["mask"] if row["mask"] else None)
                for row in rows
            ]  # fmt: skip
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{listing}: must be a list of VisA, with columns object, split, label, image and mask, but reading it "
            f"fails ({error}); keep split_csv beside the product's folder, or name a list with data.labels=FILE"
        ) from error
    missing = [str(each.file.relative_to(root)) for each in pictures if not each.file.is_file()]
    if missing or not pictures:
        raise InputError(
            f"{listing}: must list pictures of {top.name} that are there, it lists {listed(missing) or 'none'}; give "
            f"the folder of one product, as it was unpacked"
        )
    return Layout("VisA", "normal", sorted(pictures, key=lambda each: (each.part == _TEST, each.file)))


def _known(target: NDArray[np.int64], part: NDArray[np.int8], count: int, seed: int) -> NDArray[np.int64]:
    """The test pictures that become known anomalies: so many of each kind."""
    generator = np.random.default_rng(seed)
    tests = [np.flatnonzero((target == kind) & (part == _TEST)) for kind in np.unique(target[target > 0])]
    for rows in tests:
        if 0 < len(rows) <= count:
            raise InputError(
                f"data.known must leave a picture of each kind to test, one kind has {len(rows)} test pictures, got "
                f"{count}; lower it"
            )
    chosen = [generator.choice(rows, count, replace=False) for rows in tests if len(rows)]
    return np.concatenate([np.empty(0, dtype=np.int64), *chosen])


def _masks(layout: Layout, size: int) -> Masks | None:
    """Where defects are, see ``Arrays.masks``; None where no picture has a mask."""
    if all(each.mask is None for each in layout.pictures):
        return None
    masks = np.zeros((len(layout.pictures), size, size), dtype=np.uint8)
    damaged = []
    for mask, each in zip(masks, layout.pictures, strict=True):
        if each.kind == layout.normal:
            continue
        mask[:] = UNMARKED
        if each.mask is not None:
            try:
                mask[:] = _read_mask(each.mask, size)
            except DAMAGED:
                damaged.append(str(each.mask))
    if damaged:
        warnings.warn(f"masks that can not be read count as if they were not there: {listed(damaged)}", stacklevel=3)
    return masks


def _read_mask(file: Path, size: int) -> Masks:
    """1 where at least half of a resized pixel is a defect, ``(size, size)``; VisA numbers defects, others have 255."""
    with Image.open(file, formats=FORMATS) as image:
        values = np.asarray(image)
    marked = values > 0 if values.ndim == 2 else (values[..., :3] > 0).any(axis=2)
    small = Image.fromarray(255 * marked.astype(np.uint8)).resize((size, size), Image.Resampling.BOX)
    return (np.asarray(small) >= 128).astype(np.uint8)


def _other_layout(top: Path) -> str:
    if not top.is_dir():
        return f"{top}: must be a folder of pictures, and is none; give the right one with data.path=FOLDER"
    products = [each.name for each in sorted(top.iterdir()) if each.is_dir() and _is_product(each)]
    if products:
        return f"{top}: must be the folder of one product, it holds those of {listed(products)}; give one of them"
    return (
        f"{top}: must lie as MVTec AD, VisA or BTAD do, train/good and test, Data/Images, or train/ok and test; "
        f"data=folder reads a folder a class, or a folder with a table"
    )


def _is_product(folder: Path) -> bool:
    return (folder / "Data" / "Images").is_dir() or any((folder / "train" / name).is_dir() for name in _NORMAL)
