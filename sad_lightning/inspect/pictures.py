"""A profile of a folder of images: sizes, modes, class folders, parts, and files that can not be read."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sad_lightning.command import progress
from sad_lightning.data.own.image_folder import FORMATS, image_files
from sad_lightning.data.own.labels import PARTS
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
    """

    path: Path
    classes: Counter[str]
    parts: Counter[str]
    sizes: Counter[tuple[int, int]]
    modes: Counter[str]
    damaged: tuple[str, ...]

    def settings(self) -> dict[str, Any]:
        """The settings of ``data`` that differ from those of ``conf/data/folder.yaml``."""
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
            yield f"{self.damaged[0]}{more} can not be read; remove them, or training stops at the first"
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
    files = image_files(path)
    classes, parts, modes = Counter[str](), Counter[str](), Counter[str]()
    sizes, damaged = Counter[tuple[int, int]](), []
    places = [file.relative_to(path).parts[:-1] for file in files]
    has_parts = all(place and place[0] in PARTS for place in places)
    for file, place in zip(progress(files, unit="image"), places, strict=True):
        if has_parts:
            parts[place[0]] += 1
            place = place[1:]
        classes[place[0] if place else ""] += 1
        try:
            with Image.open(file, formats=FORMATS) as image:
                sizes[image.size] += 1
                modes[image.mode] += 1
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            damaged.append(str(file.relative_to(path)))
    return ImageProfile(path, classes, parts, sizes, modes, tuple(damaged))
