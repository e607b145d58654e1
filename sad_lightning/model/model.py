"""A detector: raw rows to scores, p-values and decisions.

    score       of the prepared rows; higher = more anomalous
    p-value     split conformal, against the scores of held-out normal rows (``stats.threshold``)
    decision    score > threshold, that of the stored false-positive rate or of another one

A false-discovery rate among all rows of a prediction has a threshold too (``threshold_at_fdr``). A model file holds
plain data and tensors, read with ``weights_only=True``; nothing is unpickled.
"""

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sad_lightning.backbones.extractor import FeatureExtractor
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import ImageSchema, Schema, TableSchema, TextSchema, schema_of
from sad_lightning.errors import DamagedError, InputError, error_words
from sad_lightning.files import MODEL_FILE, model_file, printable, read_archive, write_archive
from sad_lightning.model.hub import read_hub
from sad_lightning.model.scorer import Scorer, heat_maps, on_cpu, recipe_of, scorer_of
from sad_lightning.stats.threshold import conformal_threshold, reached_by, threshold_at_fdr, threshold_at_fpr
from sad_lightning.version import __version__

FORMAT = "sad_lightning model"
VERSION = 1
ARCHIVE = "model file"  # what its checksum names it
OUT_OF_BAG = "out-of-bag"  # training rows, scored by the parts that have not seen them
_PART = 1 << 13  # rows
_TEXTS = 1 << 10  # of texts, each of which is many steps
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def torch_defaults() -> Iterator[None]:
    """New tensors are float32, on the CPU and have gradients in the block, whatever the caller has set."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        # the device as a context costs every call of torch some microseconds
        device = nullcontext() if torch.empty(0).device.type == "cpu" else torch.device("cpu")
        with device, torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def own_draws() -> Iterator[None]:
    """What the block draws from torch's generator, initial weights and dropout, leaves it as it was.

    All threads have one generator, so that they wait for each other here.
    """
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=[]):
        yield


def _blank_row(schema: Schema) -> NDArray[Any]:
    """A raw row of zeros, or of an empty text, ``(1, C)`` or ``(1, H, W, C)``."""
    if isinstance(schema, TextSchema):
        return schema.encode([""])
    if isinstance(schema, ImageSchema):
        return np.zeros((1, schema.height, schema.width, schema.channels), dtype=np.uint8)
    return np.zeros((1, len(schema.columns)), dtype=np.float32)


class Model(nn.Module):
    """A detector: preparation, network, calibration and threshold.

    Args:
        preparation: from raw rows to the input of the network.
        scorer: trained.
        calibration: ``(n,)`` scores of normal rows.
        calibration_rows: the name of these rows: ``validation`` if they were held out; with any other, such as
            ``in-sample``, p-values and rates promise nothing. ``out-of-bag`` rows keep about the rate.
        target_fpr: the false-positive rate that the threshold aims at.
        card: the model card, plain data: what it was trained on, settings, metrics, versions.
        examples: ``(n, ...)`` a few raw rows, which an exported graph is checked on; None for none.
        apart: the ``row_hash`` of the rows that did not train, as int64, by part: ``validation`` and ``test``; a
            training that goes on from this model leaves them out too.
        reference: ``(R, C)`` what each column of a table held in presumed normal rows, sorted column by column, so that
            new rows can be compared with them; None where nothing is known.

    Raises:
        InputError: there is no calibration score.

    Attributes:
        threshold: decisions are ``score > threshold``; infinite where the rows are too few for so low a rate.
    """

    calibration: Tensor

    def __init__(
        self,
        preparation: Preparation,
        scorer: Scorer,
        *,
        calibration: Tensor,
        calibration_rows: str,
        target_fpr: float,
        card: Mapping[str, Any],
        examples: Tensor | None = None,
        reference: Tensor | None = None,
        apart: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not len(calibration):
            raise InputError("calibration: a model needs scores of normal rows, got none; hold rows out for it")
        if calibration.ndim != 1 or not calibration.is_floating_point() or calibration.isnan().any():
            raise InputError(f"calibration: must be scores, (n,) numbers, got {calibration.shape}; train it again")
        if reference is not None and reference.ndim != 2:
            raise InputError(f"reference: must be rows, (R, C), got {tuple(reference.shape)}; train it again")
        self.preparation, self.scorer = preparation, scorer
        self.register_buffer("calibration", calibration.detach().cpu().double().sort().values, persistent=False)
        self.calibration_rows, self.target_fpr, self.card = calibration_rows, float(target_fpr), dict(card)
        self.examples, self.reference, self.apart = examples, reference, dict(apart or {})
        self.threshold = self.threshold_at(self.target_fpr)
        self.eval()

    @property
    def held_out(self) -> bool:
        """Whether the calibration rows did not train, so that rates are promised."""
        return self.calibration_rows == "validation"

    @property
    def batch(self) -> int:
        """How many raw rows to score at a time: fewer of texts, and where a backbone sees images."""
        if self.preparation.extractor is not None:
            return self.preparation.extractor.batch
        return _TEXTS if isinstance(self.preparation.schema, TextSchema) else _PART

    def prepare(self, raw: Tensor) -> Tensor:
        """Raw rows, as ``preparation.schema`` has them, to ``x``: ``(B, D)`` or ``(B, C, H, W)`` float32."""
        x: Tensor = self.preparation(raw)
        return x

    def score(self, x: Tensor) -> Tensor:
        """The anomaly score of each prepared row, ``(B,)``, higher = more anomalous."""
        return self.scorer.score(x)

    def score_raw(self, raw: Tensor) -> Tensor:
        """The scores of raw rows, ``(N,)`` float64, a part of them at a time."""
        parts = [self.score(self.prepare(part.to(self.calibration.device))).double()
                 for part in torch.split(raw, self.batch)]  # fmt: skip
        return torch.cat(parts) if len(raw) else torch.empty(0, dtype=torch.float64)

    def heat_levels(self, x: Tensor) -> NDArray[np.float32] | None:
        """Where prepared images are anomalous, ``(B, H, W)``; None where the model can not tell.

        0 is the median score of the normal images that set the threshold, 1 half as much again as the threshold.
        """
        schema = self.preparation.schema
        if not isinstance(schema, ImageSchema):
            return None
        maps, (low, unit) = heat_maps(self.scorer, x, (schema.height, schema.width)), self.heat_scale()
        return None if maps is None else (maps - low) / unit

    def heat_scale(self) -> tuple[np.float32, np.float32]:
        """The score of a patch at which a heat level is 0, and how much more a level of 1 is."""
        low = float(self.calibration.median())
        limit = self.threshold if math.isfinite(self.threshold) else float(self.calibration.max())
        return np.float32(low), np.float32(max(1.5 * limit - low, 1e-30))

    def score_rows(self, raw: NDArray[Any]) -> NDArray[np.float64]:
        """The scores of raw rows, ``(N,)``, checked.

        Raises:
            InputError: a number is missing and the model refuses that, or a score is not finite.
        """
        schema = self.preparation.schema
        if isinstance(schema, TableSchema) and schema.missing == "refuse":
            numbers = np.array([column.kind not in ("category", "hash") for column in schema.columns])
            if len(missing := np.argwhere(np.isnan(raw) & numbers)):
                row, column = missing[0]
                raise InputError(
                    f"row {row}: column {schema.names[column]} has no value, and this model refuses that; fill it, or "
                    f"train with data.missing=median"
                )
        with torch_defaults(), torch.inference_mode():
            scores = self.score_raw(torch.from_numpy(raw)).cpu().numpy()
        if len(broken := np.flatnonzero(~np.isfinite(scores))):
            raise InputError(
                f"row {broken[0]}: must hold values that the network can take, the score is not finite; mend it or "
                f"leave it out"
            )
        return scores

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Score and decision of raw rows, ``(B,)`` each; the whole computation, for an export as one graph."""
        scores = self.score(self.prepare(raw))
        return scores, scores.double() > self.threshold

    def p_value(self, scores: Tensor) -> Tensor:
        """The conformal p-values of scores, ``(B,)`` float64 in (0, 1]: small = more anomalous."""
        below = torch.searchsorted(self.calibration, scores.double().contiguous())
        n = len(self.calibration)
        return (1 + n - below).double() / (1 + n)

    def decide(self, scores: Tensor, fpr: float | None = None) -> Tensor:
        """Whether each score is called an anomaly, ``(B,)`` bool, at the stored false-positive rate or at ``fpr``."""
        return scores.double() > self.threshold_at(fpr)

    def threshold_at(self, fpr: float | None) -> float:
        """The threshold of a false-positive rate: conformal on rows that nothing has seen, else the quantile of others.

        None stands for the stored rate.

        Raises:
            InputError: ``fpr`` is not in [0, 1).
        """
        if fpr is None:
            return self.threshold
        scores = self.calibration.cpu().numpy()
        unseen = self.calibration_rows in ("validation", OUT_OF_BAG)
        return conformal_threshold(scores, fpr) if unseen else threshold_at_fpr(scores, fpr)

    def reached_by(self, scores: Tensor) -> NDArray[np.int64]:
        """The counts of the scores of a batch for ``threshold_at_fdr``; add up those of all batches."""
        return reached_by(self.calibration.cpu().numpy(), scores.cpu().numpy())

    def threshold_at_fdr(self, counts: NDArray[np.int64], fdr: float) -> float:
        """The threshold of a false-discovery rate among the rows that ``reached_by`` has counted.

        Raises:
            InputError: ``fdr`` is not in [0, 1), or no rows were held out.
        """
        if not self.held_out:
            raise InputError(
                f"fdr={fdr} needs scores of normal rows that did not train, those of this model are of "
                f"{self.calibration_rows} rows; train with split.validation_ratio=0.2"
            )
        return threshold_at_fdr(self.calibration.cpu().numpy(), counts, fdr)

    def document(self) -> dict[str, Any]:
        """All that a model file holds: plain data and tensors."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "package": __version__,
            "schema": self.preparation.schema.plain(),
            "backbone": None if self.preparation.extractor is None else self.preparation.extractor.recipe(),
            "preparation": on_cpu(self.preparation),
            **recipe_of(self.scorer),
            "calibration": self.calibration.cpu(),
            "calibration_rows": self.calibration_rows,
            "target_fpr": self.target_fpr,
            "threshold": self.threshold,
            "card": self.card,
            "examples": self.examples,
            "reference": self.reference,
            "apart": self.apart,
        }

    def save(self, path: Path) -> None:
        """Write the model file: whole, or not at all."""
        document = self.document()
        write_archive(path, ARCHIVE, lambda file: torch.save(document, file))

    @staticmethod
    def load(path: Path | str, device: torch.device | str = "cpu") -> "Model":
        """Read a model file, by its path or the folder of its run, or a folder that ``export --format hub`` wrote.

        Raises:
            InputError: it does not exist, is damaged or something else, is of a newer version, or names a method that
                is not imported.
        """
        path = model_file(Path(path))
        document = read_document(path)
        try:
            with torch_defaults(), own_draws():
                state = document["preparation"]
                scaling = Scaling(state["scale"].numpy(), state["shift"].numpy(), contrast="equal_contrast" in state)
                recipe = document["backbone"]
                extractor = None if recipe is None else FeatureExtractor.of(recipe)
                preparation = Preparation(schema_of(document["schema"]), scaling, extractor)
                preparation.load_state_dict(state)
                document["card"] = printable(document["card"])
                model = Model(
                    preparation,
                    scorer_of(document["scorer"], document["state"]),
                    **{
                        key: document[key]
                        for key in ("calibration", "calibration_rows", "target_fpr", "card", "examples")
                    },
                    reference=document.get("reference"),
                    apart=document.get("apart"),
                )
                model.score_rows(_blank_row(model.preparation.schema))  # parts that do not fit show now
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, IndexError, ArithmeticError) as error:
            if isinstance(error.__cause__, ImportError):  # of an extra, whose name and way out it says
                raise InputError(f"{path}: {error}") from error
            reason = error_words(error)
            raise InputError(f"{path}: does not hold together as a model ({reason}); train it again") from error
        return model.to(device)


def read_document(path: Path) -> dict[str, Any]:
    """The document of a model file, or of the folder of a hub whose tensors ``path`` names.

    Raises:
        InputError: it does not exist, is damaged or something else, or is of another version.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such model file; a training on own data leaves one, {MODEL_FILE}")
    if path.suffix == ".safetensors":
        return _checked(path, read_hub(path.parent))
    try:
        document = torch.load(read_archive(path, ARCHIVE), weights_only=True, map_location="cpu")
    except DamagedError as error:
        raise InputError(f"{path}: {error.reason}; copy it again, or train it again") from error
    except Exception as error:  # a checksum that fits and bytes that do not make torch raise many types of error
        raise InputError(f"{path}: must be a {ARCHIVE}, it is something else; train it again") from error
    return _checked(path, document)


def _checked(path: Path, document: Any) -> dict[str, Any]:
    """The document of a model file, if it is one of this version."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"{path}: must be a {ARCHIVE}, it is something else; a training leaves {MODEL_FILE}")
    if document.get("version") != VERSION:
        raise InputError(
            f"{path}: has format {document.get('version')}, of sad_lightning {document.get('package')}; this version "
            f"({__version__}) reads {VERSION}; install that one, or train again"
        )
    return document
