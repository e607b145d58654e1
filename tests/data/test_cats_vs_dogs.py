"""A folder of photographs of cats and dogs."""

import numpy as np
import pytest
from PIL import Image

from sad_lightning.data import cats_vs_dogs
from sad_lightning.errors import InputError


def save(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30), grey, dtype=np.uint8)).save(path)


def test_a_folder_is_read_by_number_and_kept(tmp_path):
    folder = tmp_path / "cats_vs_dogs"
    for number in range(10):
        save(folder / f"cat.{number}.png", number)  # as Kaggle names them
        save(folder / "Dog" / f"{number}.png", 100 + number)  # as Microsoft does
    (folder / "Dog" / "666.jpg").write_bytes(b"no image")
    (folder / "readme.txt").write_text("of neither")
    arrays = cats_vs_dogs(str(tmp_path))
    assert arrays.x.shape == (20, 64, 64, 3)
    assert arrays.classes == ("cat", "dog")
    assert arrays.n_train == 16
    assert arrays.x[:16, 0, 0, 0].tolist() == [*range(8), *range(100, 108)]
    assert arrays.target_class.tolist() == [0] * 8 + [1] * 8 + [0] * 2 + [1] * 2
    (folder / "cat.0.png").unlink()
    assert np.array_equal(cats_vs_dogs(str(tmp_path)).x, arrays.x)  # from the file


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"Dogs vs\. Cats"):
        cats_vs_dogs(str(tmp_path))
    save(tmp_path / "cats_vs_dogs" / "cat.0.png", 0)
    with pytest.raises(InputError, match="begins with cat, it holds 1"):
        cats_vs_dogs(str(tmp_path))
