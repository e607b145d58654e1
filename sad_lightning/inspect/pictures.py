"""A profile of a folder of images: layout, sizes, modes, class folders, parts, and files that can not be read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sad_lightning.command import progress
from sad_lightning.data.own.image_folder import DAMAGED, FORMATS, image_files
from sad_lightning.data.own.labels import PARTS
from sad_lightning.data.own.layouts import PART_NAMES, Layout, layout_of
from sad_lightning.inspect.proposal import ANOMALY, NORMAL, UNLABELED

_SIDES = (32, 64, 128, 256)
_GREY = {"1", "L", "I", "I;16", "I;16B", "F", "LA"}


@dataclass(frozen=True)
class ImageProfile:
    """A folder of images.

    Attributes:
        path: of the folder.
        classes: images by class folder, ``""`` for the folder itself.
        parts: images by part, where the uppermost folders are parts; else empty.
        sizes: images by width and height.
        modes: images by Pillow's mode.
        damaged: files that can not be opened.
        layout: where it is that of a published set: then parts, and kinds as classes, are the layout's.
    """

    path: Path
    classes: Counter[str]
    parts: Counter[str]
    sizes: Counter[tuple[int, int]]
    modes: Counter[str]
    damaged: tuple[str, ...]
    layout: Layout | None

    def settings(self) -> dict[str, Any]:
        """The settings of ``data`` that differ from those of ``conf/data/folder.yaml``, or of ``images.yaml``."""
        if self.layout is not None:
            return {"path": str(self.path)}
        names = [name for name in self.classes if name]
        normal = [name for name in names if name.lower() in NORMAL]
        unlabeled = [name for name in names if name.lower() in UNLABELED]
        anomaly = [name for name in names if name.lower() in ANOMALY]
        others = [name for name in names if name not in {*normal, *unlabeled, *anomaly}]
        known = [*anomaly, *others] if normal else anomaly
        left = unlabeled if normal else [*unlabeled, *others]
        settings: dict[str, Any] = {"path": str(self.path), "size": self.side, "channels": 1 if self.is_grey else 3}
        for key, words, usual in (
            ("known_anomaly", known, ["anomaly"]), ("known_normal", normal, ["normal"]),
            ("unlabeled", left, ["unlabeled"]),
        ):  # fmt: skip
            if words and words != usual:
                settings[key] = words
        return settings

    @property
    def side(self) -> int:
        """The side that images are resized to: the largest that most of them have, and no more than 64 at first."""
        smallest = min((min(size) for size in self.sizes), default=32)
        return max((side for side in _SIDES[:2] if side <= smallest), default=_SIDES[0])

    @property
    def is_grey(self) -> bool:
        """Whether no image has colours."""
        return set(self.modes) <= _GREY

    def problems(self) -> Iterator[str]:
        """What a person must see."""
        if self.damaged:
            more = f" and {len(self.damaged) - 1:,} more" if len(self.damaged) > 1 else ""
            yield f"{self.damaged[0]}{more} can not be read; training leaves them out"
        if self.layout is not None:
            return
        settings = self.settings()
        if "known_anomaly" not in settings and "anomaly" not in self.classes:
            yield "no folder is called as an anomaly is: without labels, what is rare is found"
        if len(self.sizes) > 1:
            yield f"{len(self.sizes):,} sizes; all become {self.side} x {self.side}, whatever their shape was"
        if set(self.modes) & {"I", "F"}:
            yield "some images hold numbers without a scale (mode I or F); save them with 8 or 16 bits"


def profile_images(path: Path) -> ImageProfile:
    """Open every image below a folder, without decoding it.

    Raises:
        InputError: it holds none.
    """
    layout = layout_of(path) if path.is_dir() else None
    files = image_files(path) if layout is None else [each.file for each in layout.pictures]
    classes, parts = _of_layout(layout) if layout is not None else _of_folders(path, files)
    modes, sizes, damaged = Counter[str](), Counter[tuple[int, int]](), []
    for file in progress(files, unit="image"):
        try:
            with Image.open(file, formats=FORMATS) as image:
                sizes[image.size] += 1
                modes[image.mode] += 1
        except DAMAGED:
            damaged.append(str(file.relative_to(path)))
    return ImageProfile(path, classes, parts, sizes, modes, tuple(damaged), layout)


def _of_folders(path: Path, files: Sequence[Path]) -> tuple[Counter[str], Counter[str]]:
    """Images by class folder and by part."""
    places = [file.relative_to(path).parts[:-1] for file in files]
    if not all(place and place[0] in PARTS for place in places):
        return Counter(place[0] if place else "" for place in places), Counter()
    classes = Counter(place[1] if len(place) > 1 else "" for place in places)
    return classes, Counter(place[0] for place in places)


def _of_layout(layout: Layout) -> tuple[Counter[str], Counter[str]]:
    """Images by kind and by part."""
    parts = Counter(PART_NAMES[each.part] for each in layout.pictures)
    return Counter(each.kind for each in layout.pictures), parts
