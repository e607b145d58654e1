"""A model as one graph, from raw rows to scores and decisions, that runs without this package.

It holds preparation, network or baseline, and threshold, and takes batches of any size: float32, or float64 where a
column lies so far from zero that single precision would blur it. A graph of patches has heat maps too. It is checked to
agree with the model on real rows.
"""

import io
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sad_lightning.data.schema import ImageSchema, TableSchema
from sad_lightning.errors import InputError, extra
from sad_lightning.model import BaselineScore, Model, enlargement
from sad_lightning.training.mixture import CalibrationLayer, Mixture

TOLERANCE = 1e-4  # of the scores, relative
OUTPUTS = ("score", "anomaly", "map")  # a model without patches has no map
_BATCH = ({0: torch.export.Dim("batch")},)
_ROUNDING = 1e-12  # relative; a mean over trees that equals the threshold may differ in its last bit
_TRACE_ROWS = 3  # with one row, tracing would fix the batch size to 1
Run = Callable[[Tensor], tuple[Tensor, ...]]


def to_graph(model: Model, kind: str, rows: Tensor) -> tuple[bytes, float]:
    """The model as a file of kind ``onnx`` or ``pt2``, checked on real raw rows ``(n, ...)``.

    Returns:
        The file, and the largest relative difference between its scores and the model's.

    Raises:
        InputError: the model is a baseline without ``torch_score``, a package is missing, or graph and model differ by
            more than 1e-4.
    """
    numbers = _uncentered(model, rows)
    example = numbers[torch.arange(_TRACE_ROWS) % len(rows)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        module: nn.Module = _Graph(model) if isinstance(model.scorer, BaselineScore | Mixture) else model
        module = module if numbers is rows else _Centered(model, module)
        program = torch.export.export(module.cpu().eval(), (example,), dynamic_shapes=_BATCH)
        content, run = _onnx(program, metadata(model)) if kind == "onnx" else _pt2(program, metadata(model))
    return content, difference(model, lambda part: run(_uncentered(model, part)), rows)


class _Graph(nn.Module):
    """A model whose baselines score in torch operations, with heat maps where it looks at patches."""

    limit: Tensor
    above: Tensor
    beside: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.preparation, self.scorer = model.preparation, _traceable(model.scorer)
        limit = model.threshold + _ROUNDING * abs(model.threshold)
        self.register_buffer("limit", torch.tensor(limit, dtype=torch.float64))  # a number would become float32
        schema, extractor = model.preparation.schema, model.preparation.extractor
        self.has_maps = False
        if isinstance(schema, ImageSchema) and extractor is not None and extractor.stages:
            self.has_maps, (high, wide, _) = True, extractor.patches()
            self.register_buffer("above", enlargement(schema.height, high))
            self.register_buffer("beside", enlargement(schema.width, wide).T.contiguous())
            self.low, self.unit = map(float, model.heat_scale())

    def forward(self, raw: Tensor) -> tuple[Tensor, ...]:
        """Score and decision of raw rows, ``(B,)`` twice, and heat levels ``(B, H, W)`` where it looks at patches."""
        x = self.preparation(raw)
        scores: Tensor = self.scorer.score(x)  # type: ignore[operator]
        if not self.has_maps or (patches := self.scorer.patch_scores(x)) is None:  # type: ignore[operator]
            return scores, scores > self.limit
        return scores, scores > self.limit, (self.above @ patches.float() @ self.beside - self.low) / self.unit


class _Centered(nn.Module):
    """A graph of raw rows as one of numbers as they stand, ``(B, C)`` float64."""

    centers: Tensor

    def __init__(self, model: Model, graph: nn.Module) -> None:
        super().__init__()
        self.of_raw = graph
        self.register_buffer("centers", _centers(model))

    def forward(self, numbers: Tensor) -> tuple[Tensor, ...]:
        """Score and decision, ``(B,)`` twice."""
        outputs: tuple[Tensor, ...] = self.of_raw((numbers - self.centers).float())
        return outputs


def _centers(model: Model) -> Tensor:
    schema = model.preparation.schema
    return torch.from_numpy(schema.centers) if isinstance(schema, TableSchema) else torch.zeros(0)


def _uncentered(model: Model, rows: Tensor) -> Tensor:
    """Raw rows as a graph takes them: those of a table with centers as the numbers that they stand for."""
    centers = _centers(model)
    return rows.double() + centers if centers.any() else rows


class _TorchBaseline(nn.Module):
    """A baseline that scores in torch operations."""

    def __init__(self, scorer: BaselineScore) -> None:
        super().__init__()
        self.baseline, self.first = scorer.baseline, scorer.first
        learned = {name: np.array(getattr(self.baseline, name)) for name in self.baseline.learned}
        self.empty = {name: value.shape for name, value in learned.items() if not value.size}
        for name, value in learned.items():
            if value.size:  # torch can not save an empty tensor
                self.register_buffer(name, torch.from_numpy(value))

    def score(self, x: Tensor) -> Tensor:
        """The anomaly score of each prepared row, ``(B,)`` float64."""
        return self.baseline.torch_score(*self._seen(x))

    def patch_scores(self, x: Tensor) -> Tensor | None:
        """The score of each patch of prepared images, ``(B, h, w)``; None where the baseline looks at no patch."""
        return self.baseline.torch_patch_scores(*self._seen(x))

    def _seen(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        features = (x if self.first is None else self.first.get_encoder()(x)).flatten(start_dim=1).double()
        empty = {name: features.new_empty(shape) for name, shape in self.empty.items()}
        return features, dict(self.named_buffers(recurse=False)) | empty


def _traceable(scorer: nn.Module) -> nn.Module:
    if isinstance(scorer, BaselineScore):
        return _TorchBaseline(scorer)
    if isinstance(scorer, Mixture):
        calibrations = {name: one for name, one in scorer.calibrations.items() if isinstance(one, CalibrationLayer)}
        return Mixture(
            {name: _traceable(voice) for name, voice in scorer.voices.items()}, calibrations,
            side=scorer.side, see_thumbnails=scorer.see_thumbnails,
        )  # fmt: skip
    return scorer


def metadata(model: Model) -> dict[str, str]:
    """The metadata in the file of a graph, as text: threshold, columns, model card."""
    return {
        "threshold": repr(model.threshold),
        "target_fpr": repr(model.target_fpr),
        "calibration_rows": model.calibration_rows,
        "schema": json.dumps(model.preparation.schema.plain()),
        "card": json.dumps(model.card, default=str),
    }


def difference(model: Model, run: Run, rows: Tensor) -> float:
    """The largest relative difference between the scores of a graph and of the model, on one row and on all rows.

    Raises:
        InputError: it is above 1e-4, or a decision differs on a row that is not that close to the threshold.
    """
    largest = 0.0
    for part in (rows, rows[:1]):
        with torch.inference_mode():
            expected, decisions = model(part)
            levels = model.heat_levels(model.prepare(part))
        scores, graph_decisions, *maps = run(part)
        relative = (scores - expected).abs() / expected.abs().clamp(min=1e-6)
        clear = (expected - model.threshold).abs() > TOLERANCE * expected.abs()
        worst = float(relative.max())  # nan if one is nan
        if maps and levels is not None:  # by the largest: a level may be zero
            worst = max(worst, float(np.abs(maps[0].numpy() - levels).max() / np.abs(levels).max()))
        if not worst <= TOLERANCE or not torch.equal(graph_decisions[clear], decisions[clear]):
            raise InputError(
                f"the graph must score as the model does, within {TOLERANCE:g} relative, but on {len(part)} rows it "
                f"differs by {worst:.2g}; nothing was written, use the model file"
            )
        largest = max(largest, worst)
    return largest


def _onnx(program: torch.export.ExportedProgram, words: dict[str, str]) -> tuple[bytes, Run]:
    with extra("export", "--format onnx"):
        import onnxruntime
        import onnxscript  # noqa: F401  (the exporter of torch needs it)
    outputs = OUTPUTS[: len(program.graph_signature.user_outputs)]
    graph = torch.onnx.export(
        program, input_names=["rows"], output_names=list(outputs), dynamic_shapes=_BATCH, verbose=False
    )
    assert graph is not None  # for mypy: only the old exporter returns None
    graph.model.metadata_props.update(words)
    content: bytes = graph.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(rows: Tensor) -> tuple[Tensor, ...]:
        return tuple(map(torch.from_numpy, session.run(list(outputs), {"rows": rows.numpy()})))

    return content, run


def _pt2(program: torch.export.ExportedProgram, words: dict[str, str]) -> tuple[bytes, Run]:
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={"sad_lightning.json": json.dumps(words)})
    file.seek(0)
    loaded: Any = torch.export.load(file).module()

    def run(rows: Tensor) -> tuple[Tensor, ...]:
        with torch.inference_mode():
            outputs: tuple[Tensor, ...] = loaded(rows)
        return outputs

    return file.getvalue(), run
