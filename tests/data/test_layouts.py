"""Folders as MVTec AD, BTAD and VisA lay them out: parts, kinds and masks are the layout's."""

import shutil

import numpy as np
import pytest
from PIL import Image
from support.commands import run_main
from support.pictures import product_folder

from sad_lightning.data import images
from sad_lightning.data.arrays import OPEN, UNMARKED
from sad_lightning.data.own.labeled_split import draw_labeled_split
from sad_lightning.data.own.layouts import layout_of
from sad_lightning.errors import InputError


def read(top, **settings):
    return images(**{"path": str(top), "size": 24, "channels": 3, "labels": None, "known": 0, "seed": 0, **settings})


def visa_folder(top):
    """VisA as it is unpacked: pictures of a product by label, their list beside the product."""
    source, product = product_folder(top / "source"), top / "candle"
    lines = ["object,split,label,image,mask"]
    for place, label, part in (("train/good", "Normal", "train"), ("test/good", "Normal", "test"),
                               ("test/hole", "Anomaly", "test")):  # fmt: skip
        (product / "Data" / "Images" / label).mkdir(parents=True, exist_ok=True)
        (product / "Data" / "Masks" / "Anomaly").mkdir(parents=True, exist_ok=True)
        for file in sorted((source / place).iterdir()):
            name, mask = f"{part}{file.stem}.JPG", ""
            Image.open(file).save(product / "Data" / "Images" / label / name)
            if label == "Anomaly":
                mask = f"candle/Data/Masks/Anomaly/{part}{file.stem}.png"
                marked = np.asarray(Image.open(source / "ground_truth" / "hole" / f"{file.stem}_mask.png"))
                Image.fromarray((marked > 0).astype(np.uint8) * 3).save(top / mask)  # VisA numbers defects
            lines.append(f"candle,{part},{label.lower()},candle/Data/Images/{label}/{name},{mask}")
    (top / "split_csv").mkdir()
    (top / "split_csv" / "1cls.csv").write_text("\n".join([*lines, "other,train,normal,other/Data/x.JPG,"]))
    return product


def test_mvtec_ad_as_it_comes(tmp_path):
    arrays = read(product_folder(tmp_path / "bottle"))
    assert arrays.classes == ("good", "hole", "line")
    assert arrays.x.shape == (32, 24, 24, 3)
    assert np.bincount(arrays.target_class).tolist() == [24, 4, 4]
    assert np.bincount(arrays.labels.part).tolist() == [0, 0, 12, 20]
    assert not arrays.labels.semi.any()
    assert not arrays.masks[arrays.target_class == 0].any()
    holes = arrays.masks[arrays.target_class == 1]
    assert np.all(holes.sum(axis=(1, 2)) == 25)  # 10 x 10 of 48 x 48 pixels, at half the size
    dark = arrays.x[arrays.target_class == 1].mean(axis=3) < 60
    assert (dark & (holes == 1)).sum() > 0.7 * dark.sum()  # a mask lies where the defect is


@pytest.mark.parametrize(
    ("settings", "name", "kinds"),
    [
        ({"normal": "ok", "mask": ""}, "BTAD", ("ok", "hole", "line")),
        ({"mask": ""}, "VisA", ("good", "hole", "line")),
        ({}, "MVTec AD", ("good", "hole", "line")),
    ],
)
def test_a_layout_has_a_name(settings, name, kinds, tmp_path):
    top = product_folder(tmp_path / "product", **settings)
    assert layout_of(top).name == name
    arrays = read(top)
    assert arrays.classes == kinds
    assert all((arrays.masks[arrays.target_class == kind] == 1).any() for kind in (1, 2))
    told = run_main("inspect", str(top))
    assert told.code == 0, told.err
    assert f"32 images, 48 x 48, in the layout of {name}" in told.out
    assert f"python -m sad_lightning data=images data.path={top}" in told.out


def test_visa_as_it_is_unpacked(tmp_path):
    product = visa_folder(tmp_path)
    arrays = read(product)
    assert arrays.classes == ("normal", "anomaly")
    assert np.bincount(arrays.labels.part).tolist() == [0, 0, 8, 20]
    assert np.all(arrays.masks[arrays.target_class == 1].sum(axis=(1, 2)) == 25)
    few = (tmp_path / "split_csv" / "1cls.csv").read_text().replace("candle,test,anomaly", "candle,train,anomaly", 3)
    (tmp_path / "split_csv" / "2cls_fewshot.csv").write_text(few)
    shown = read(product, labels=str(tmp_path / "split_csv" / "2cls_fewshot.csv"))
    assert (shown.labels.semi < 0).sum() == 3
    assert shown.labels.known_classes == (1,)
    assert "in the layout of VisA" in run_main("inspect", str(product)).out
    shutil.rmtree(tmp_path / "split_csv")
    with pytest.raises(InputError, match=r"1cls.csv: must be a list of VisA.*keep split_csv beside"):
        read(product)


def test_which_rows_validate_is_drawn_and_which_test_is_not(tmp_path):
    arrays = read(product_folder(tmp_path / "bottle"))
    split = draw_labeled_split(arrays, test_ratio=0.0, validation_ratio=0.2, early_stopping=False, seed=0)
    assert split.test.tolist() == np.flatnonzero(arrays.labels.part == 2).tolist()
    assert len(split.validation) == 4
    assert np.all(arrays.labels.part[np.concatenate([split.train, split.validation])] == OPEN)
    other = draw_labeled_split(arrays, test_ratio=0.0, validation_ratio=0.2, early_stopping=False, seed=1)
    assert other.validation.tolist() != split.validation.tolist()
    whole = draw_labeled_split(arrays, test_ratio=0.0, validation_ratio=0.0, early_stopping=False, seed=0)
    assert len(whole.train) == 20


def test_a_folder_of_validation_pictures_is_kept(tmp_path):
    top = product_folder(tmp_path / "bottle")
    shutil.copytree(top / "test" / "good", top / "validation" / "good")
    assert np.bincount(read(top).labels.part).tolist() == [20, 4, 12]


def test_known_anomalies_come_from_train_or_from_the_test_pictures(tmp_path):
    top = product_folder(tmp_path / "bottle")
    arrays = read(top, known=2)
    assert np.bincount(arrays.target_class[arrays.labels.semi < 0]).tolist() == [0, 2, 2]
    assert arrays.labels.known_classes == (1, 2)
    assert np.bincount(arrays.labels.part).tolist() == [0, 0, 8, 24]
    assert (arrays.masks[arrays.labels.semi < 0] == 1).any(axis=(1, 2)).all()
    drawn = {tuple(np.flatnonzero(read(top, known=2, seed=seed).labels.semi)) for seed in range(4)}
    assert len(drawn) > 1
    split = draw_labeled_split(arrays, test_ratio=0.0, validation_ratio=0.2, early_stopping=False, seed=0)
    assert split.counts["known_anomaly"] == 4
    with pytest.raises(InputError, match=r"data.known must leave a picture of each kind to test.*got 4; lower it"):
        read(top, known=4)
    shutil.copytree(top / "test" / "hole", top / "train" / "hole")
    assert np.bincount(read(top).target_class[read(top).labels.semi < 0]).tolist() == [0, 4]


def test_a_defect_without_a_mask_is_not_marked_and_no_mask_is_none(tmp_path):
    top = product_folder(tmp_path / "bottle")
    shutil.rmtree(top / "ground_truth" / "line")
    (top / "ground_truth" / "hole" / "000_mask.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match=r"masks that can not be read .*000_mask.png"):
        arrays = read(top)
    assert np.all(arrays.masks[arrays.target_class == 2] == UNMARKED)
    assert (arrays.masks[arrays.target_class == 1] == UNMARKED).all(axis=(1, 2)).sum() == 1
    shutil.rmtree(top / "ground_truth")
    assert read(top).masks is None


def test_one_picture_that_can_not_be_read_is_left_out_and_named(tmp_path):
    top = product_folder(tmp_path / "bottle")
    (top / "train" / "good" / "003.png").write_bytes(b"\x89PNG")
    (top / "test" / "hole" / "001.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"2 of 32 images can not be read and are left out: .*001.png, .*003.png|003"):
        arrays = read(top)
    assert len(arrays.x) == len(arrays.masks) == len(arrays.labels.semi) == len(arrays.labels.part) == 30
    assert np.bincount(arrays.target_class).tolist() == [23, 3, 4]
    assert "003.png and 1 more can not be read; training leaves them out" in run_main("inspect", str(top)).out


def test_a_cell_trains_on_it(tmp_path):
    top = product_folder(tmp_path / "bottle")
    told = run_main(
        "data=images", f"data.path={top}", "data.size=16", "method=deep_svdd", "trainer.max_epochs=1", "logger=none",
        "pretrain.epochs=1", "optimizer.milestones=[]", "target_fpr=0.3", f"runs={tmp_path / 'runs'}",
    )  # fmt: skip
    assert told.code == 0, told.err
    assert "deep_svdd on images: normal good" in told.out
    assert (next((tmp_path / "runs").rglob("detector.html"))).is_file()


def test_another_layout_is_one_line(tmp_path):
    top = product_folder(tmp_path / "set" / "bottle")
    with pytest.raises(InputError, match=r"set: must be the folder of one product, it holds those of bottle; give one"):
        read(top.parent)
    with pytest.raises(InputError, match=r"must lie as MVTec AD, VisA or BTAD do.*data=folder reads"):
        read(top / "test")
    with pytest.raises(InputError, match="must be a folder of pictures, and is none"):
        read(tmp_path / "gone")
    with pytest.raises(InputError, match=r"data.channels must be 1 for grey or 3"):
        read(top, channels=2)
