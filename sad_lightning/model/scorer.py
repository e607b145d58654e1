"""What a detector asks for scores of prepared rows, a method, an ensemble, a mixture or a baseline; as plain data too.

Plain data name classes of methods, networks and baselines; only those of this package and those that are imported are
found, so a file never decides what else is imported.
"""

import pkgutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn
from torch.nn import functional

from sad_lightning import baselines, methods
from sad_lightning.exports import subclasses
from sad_lightning.methods.method import Method
from sad_lightning.training.ensemble import Ensemble, method_of
from sad_lightning.training.mixture import CalibrationLayer, Mixture

if TYPE_CHECKING:
    from sad_lightning.baselines.baseline import Baseline

_SMOOTH = 4 / 224  # of the side of an image


class BaselineScore(nn.Module):
    """A fitted baseline with the ``score`` of a method, computed on the CPU.

    ``first`` is the method whose encoder computes its features; None for the prepared rows themselves.
    """

    def __init__(self, baseline: "Baseline", first: Method | None = None) -> None:
        super().__init__()
        self.baseline, self.first = baseline, first

    def score(self, x: Tensor) -> Tensor:
        """The baseline's anomaly score of each row, ``(B,)`` float64."""
        features = x if self.first is None else self.first.get_encoder()(x)
        scores = self.baseline.anomaly_score(features.detach().flatten(start_dim=1).double().cpu().numpy())
        return torch.from_numpy(np.ascontiguousarray(scores)).to(x.device)

    def patch_scores(self, x: Tensor) -> NDArray[np.float64] | None:
        """The score of each patch of prepared images, ``(B, h, w)``; None where the baseline looks at no patch."""
        return self.baseline.patch_scores(x.detach().flatten(start_dim=1).cpu().numpy())


Scorer = Method | Ensemble | BaselineScore | Mixture


def heat_maps(scorer: Scorer, x: Tensor, size: Sequence[int]) -> NDArray[np.float32] | None:
    """Where prepared images ``(B, D, h, w)`` are anomalous, ``(B, *size)``; None where the scorer can not tell."""
    patches = scorer.patch_scores(x) if isinstance(scorer, BaselineScore) and x.ndim == 4 else None
    if patches is None:
        return None
    height, width = (enlargement(pixels, count) for pixels, count in zip(size, patches.shape[1:], strict=True))
    return (height @ torch.from_numpy(patches).float() @ width.T).numpy()


def enlargement(pixels: int, patches: int) -> Tensor:
    """The matrix ``(pixels, patches)`` that makes a column of pixels of one of patches.

    It interpolates, and then smooths as PatchCore does, by 4 pixels of 224.
    """
    larger = functional.interpolate(torch.eye(patches)[None], pixels, mode="linear", align_corners=False)[0].T
    return torch.from_numpy(gaussian_filter1d(larger.numpy(), _SMOOTH * pixels, axis=0))


def recipe_of(scorer: nn.Module) -> dict[str, Any]:
    """The class of a scorer, its settings as plain data, and its tensors."""
    if isinstance(scorer, BaselineScore):
        arrays = scorer.baseline.to_arrays()
        settings = str(arrays.pop("parameters"))
        first = None if scorer.first is None else recipe_of(scorer.first)
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
        return {
            "scorer": {"type": type(scorer.baseline).__name__, "parameters": settings, "first": first},
            "state": tensors,
        }
    if isinstance(scorer, Mixture):
        voices = {name: recipe_of(voice) for name, voice in scorer.voices.items()}
        recipe = {"type": "Mixture", "voices": voices, "pixels": scorer.side, "see_pixels": scorer.see_thumbnails}
        return {"scorer": recipe, "state": on_cpu(scorer.calibrations)}
    recipe = {"type": type(scorer).__name__, **dict(scorer.hparams)}  # type: ignore[arg-type]
    return {"scorer": recipe, "state": on_cpu(scorer)}


def scorer_of(recipe: Mapping[str, Any], state: Mapping[str, Tensor]) -> Scorer:
    """The scorer of ``recipe_of``: its parts ``scorer`` and ``state``; the package's own methods are imported for it.

    Raises:
        ValueError: it names a class that is neither of this package nor imported.
    """
    _import_methods()
    if recipe["type"] == "Mixture":
        voices = {name: scorer_of(voice["scorer"], voice["state"]) for name, voice in recipe["voices"].items()}
        calibrations = {name: CalibrationLayer.from_state(state, f"{name}.") for name in voices}
        side, seen_by = recipe.get("pixels", 0), recipe.get("see_pixels", ())
        return Mixture(voices, calibrations, side=side, see_thumbnails=seen_by)
    if (baseline := _baseline(recipe["type"])) is not None:
        arrays = {"parameters": np.array(recipe["parameters"])} | {k: value.numpy() for k, value in state.items()}
        first = None
        if recipe["first"] is not None:
            first = method_of(recipe["first"]["scorer"])
            first.load_state_dict(recipe["first"]["state"])
        return BaselineScore(baseline.from_arrays(arrays), first)
    scorer = Ensemble(recipe["members"], recipe["mean"]) if recipe["type"] == "Ensemble" else method_of(recipe)
    scorer.load_state_dict(state)
    return scorer


def on_cpu(module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a module by name, on the CPU."""
    return {name: value.detach().cpu() for name, value in module.state_dict().items()}


def _baseline(name: str) -> "type[Baseline] | None":
    """The baseline of that name, None where there is none; scikit-learn is imported for a baseline alone."""
    with suppress(AttributeError):
        getattr(baselines, name)  # imports the file of that name
    module = sys.modules.get(f"{baselines.__name__}.baseline")
    known: dict[str, type[Baseline]] = {} if module is None else subclasses(module.Baseline)
    return known.get(name)


def _import_methods() -> None:
    """Import the package's own methods, so that a file can name them."""
    for module in pkgutil.iter_modules(methods.__path__, f"{methods.__name__}."):
        import_module(module.name)
