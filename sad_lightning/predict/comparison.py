"""Compares the rows of a prediction with those of the training, and samples them for ``monitor``."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.schema import Column, TableSchema
from sad_lightning.model import Model
from sad_lightning.stats.martingale import Evidence, flag_prior, gather_evidence
from sad_lightning.stats.ranking import Interval
from sad_lightning.stats.shares import wilson

BUDGET = 0.05  # the probability of a false alarm in a stream of any length
SAMPLE = "sad_lightning_sample"  # the key of the sample in the metadata of a parquet
_ROWS = 1000  # of a sample, at most twice as many
_VALUES = 2_000_000  # of a sample, at most
_NAMED = 5  # columns
_MISSING = 0.05  # more missing values than in training, by which a column is named


class Sample:
    """Evenly spaced rows of a stream, in order, few enough for memory.

    Args:
        columns: C, how many values a row has.

    Attributes:
        step: every so many rows of the stream one is in the sample.
        scores: ``(k,)``.
        values: ``(k, C)``.
    """

    def __init__(self, columns: int) -> None:
        self._most = max(min(_ROWS, _VALUES // max(columns, 1)), 100)
        self.step, self._seen = 1, 0
        self.scores: NDArray[np.float64] = np.empty(0)
        self.values: NDArray[np.float32] = np.empty((0, columns), dtype=np.float32)

    def add(self, scores: NDArray[np.float64], values: NDArray[np.float32]) -> None:
        """The next rows of the stream, ``(B,)`` and ``(B, C)``."""
        positions = np.flatnonzero((self._seen + np.arange(len(scores))) % self.step == 0)
        self.scores = np.concatenate([self.scores, scores[positions]])
        self.values = np.concatenate([self.values, values[positions]])
        self._seen += len(scores)
        while len(self.scores) >= 2 * self._most:
            self.scores, self.values, self.step = self.scores[::2], self.values[::2], 2 * self.step

    def text(self) -> str:
        """The sample as text, for the metadata of a parquet."""
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, scores=self.scores, values=self.values, step=self.step)
        return base64.b64encode(file.getvalue()).decode()


def read_sample(text: bytes) -> tuple[NDArray[np.float64], NDArray[np.float32], int]:
    """The scores, the values and the step of a sample, from its ``text``."""
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as file:
        return file["scores"], file["values"], int(file["step"])


@dataclass(frozen=True)
class TrainingComparison:
    """How new rows compare with those of the training.

    Attributes:
        flagged: the share of all rows, with its interval.
        promised: the false-positive rate; None if the threshold was not set on held-out rows, which promises none.
        known: the share of known anomalies in training.
        by_chance: with as many anomalies as were known in training, the flagged share is below this with a probability
            of 95 %; it depends on how many rows set the threshold.
        ks: the p-value of the Kolmogorov-Smirnov test between calibration scores and scores of presumed normal rows;
            nan without held-out rows or with too few of one kind.
        evidence: martingales over the sample.
        by_order: whether they alarm by the order of the rows alone, as in a file that is sorted by its labels.
        changes: how columns differ from training, a line each, the clearest first.
    """

    flagged: float
    interval: Interval
    promised: float | None
    known: float
    by_chance: float
    ks: float
    evidence: Evidence
    by_order: bool
    changes: tuple[str, ...]

    @property
    def is_alarm(self) -> bool:
        """Whether the rows are not as in training, at a budget of 5 % false alarms."""
        return self.evidence.alarm(BUDGET) is not None

    def text(self) -> list[tuple[str, str]]:
        """Names and words for a summary."""
        low, high = (100 * each for each in self.interval)
        limited = self.promised is not None and math.isfinite(self.by_chance)
        rule = promise_words(self.promised, self.known)
        rule += f", by chance up to {100 * self.by_chance:.2f} %" if limited else ""
        lines = [
            (
                "above it" if self.promised is None else f"at {100 * self.promised:g} % FPR",
                f"{100 * self.flagged:.2f} %  (interval {low:.2f} to {high:.2f} %; {rule})",
            )
        ]
        ks = "" if math.isnan(self.ks) else f", scores of presumed normals by Kolmogorov-Smirnov p {self.ks:.3g}"
        highest = math.exp(min(float(self.evidence.total.max(initial=0.0)), 300.0))
        lines.append(("as trained", f"martingale at most {highest:.3g} of {1 / BUDGET:g}{ks}"))
        return lines

    def warnings(self) -> list[str]:
        """Warnings for a person, one line each."""
        lines = []
        if self.by_order:
            lines.append(
                "unusual rows come together, as where rows are sorted or something lasted for a while; shuffled, all "
                "rows are as in training"
            )
        elif self.is_alarm:
            lines.append(
                "these rows are not as in training: more anomalies, or normal rows that have changed; "
                "train again on rows of now if they are normal"
            )
        lines += self.changes[:_NAMED]
        if len(self.changes) > _NAMED:
            lines.append(f"{len(self.changes) - _NAMED} more columns differ from training")
        return lines


def promise_words(promised: float | None, known: float) -> str:
    """What share of rows is to be flagged, by the promised false-positive rate and the known anomalies in training."""
    if promised is None:
        return "no rate is promised"
    also = f" and {100 * known:.2g} % anomalies in training" if known else ""
    return f"{100 * promised:g} % of normal rows promised{also}"


def compare(model: Model, sample: Sample, rows: int, anomalies: int, fpr: float | None) -> TrainingComparison:
    """Compare a sample of so many rows that were scored with those that the model was trained on.

    So many of them are anomalies by the threshold of the false-positive rate; None for the one that the model stores.
    """
    from scipy.stats import betabinom, ks_2samp  # a second

    rate = model.target_fpr if fpr is None else fpr
    calibration = model.calibration.cpu().numpy()
    evidence = evidence_of(model, sample.scores, sample.values, fpr)
    by_order = False
    if evidence.alarm(BUDGET) is not None:
        shuffled = np.random.default_rng(0).permutation(len(sample.scores))
        by_order = evidence_of(model, sample.scores[shuffled], sample.values[shuffled], fpr).alarm(BUDGET) is None
    threshold = model.threshold_at(fpr)
    below, normal = calibration[calibration < threshold], sample.scores[sample.scores <= threshold]
    can_test = model.held_out and len(below) > 1 and len(normal) > 1
    known, of = known_anomalies(model)
    above, total = flag_prior(len(calibration), rate, (known, of))
    limit = math.nan
    if model.held_out and math.isfinite(threshold):
        limit = float(betabinom.ppf(0.95, rows, above, total - above)) / rows
    return TrainingComparison(
        flagged=anomalies / rows,
        interval=wilson(anomalies, rows),
        promised=rate if model.held_out else None,
        known=known / max(of, 1),
        by_chance=limit,
        ks=float(ks_2samp(below, normal, method="asymp").pvalue) if can_test else math.nan,
        evidence=evidence,
        by_order=by_order,
        changes=tuple(_changes(model, sample.values[sample.scores <= threshold], evidence)),
    )


def evidence_of(
    model: Model, scores: NDArray[np.float64], values: NDArray[np.float32], fpr: float | None = None
) -> Evidence:
    """The martingales of a stream of rows; those of columns only if the model file holds their training values."""
    reference = reference_of(model, values.shape[1])
    return gather_evidence(
        scores, values[:, : reference.shape[1]],
        calibration=model.calibration.cpu().numpy(),
        reference=reference,
        threshold=model.threshold_at(fpr),
        fpr=model.target_fpr if fpr is None else fpr,
        held_out=model.held_out,
        anomalies=known_anomalies(model),
    )  # fmt: skip


def known_anomalies(model: Model) -> tuple[int, int]:
    """How many of the rows of the training were known anomalies, and how many rows there were; those of tests aside."""
    counts = model.card.get("counts", {})
    return counts.get("known_anomaly", 0), sum(counts.get(part, 0) for part in ("train", "validation", "voices"))


def reference_of(model: Model, columns: int) -> NDArray[np.float32]:
    """The values of each column in training, ``(R, C)``; ``(0, 0)`` if the model file does not hold them."""
    reference = None if model.reference is None else model.reference.cpu().numpy()
    if reference is None or reference.shape[1] != columns:
        return np.empty((0, 0), dtype=np.float32)
    return np.asarray(reference)


def names_of(model: Model) -> Sequence[str]:
    """The columns of a table; none for images."""
    schema = model.preparation.schema
    return schema.names if isinstance(schema, TableSchema) else []


def _changes(model: Model, values: NDArray[np.float32], evidence: Evidence) -> list[str]:
    """Columns with values outside of what training had, more missing ones, or whose distribution moved.

    The values ``(n, C)`` are of presumed normal rows, as the reference is; the evidence is of all rows.
    """
    from scipy.stats import betabinom  # a second

    reference, names = reference_of(model, values.shape[1]), names_of(model)
    schema = model.preparation.schema
    changes: list[tuple[float, str]] = []
    if not isinstance(schema, TableSchema) or not len(values):
        return []
    for k, name in enumerate(names[: reference.shape[1]]):
        known, new = reference[:, k], values[:, k]
        capital = float(evidence.columns[-1, k]) if len(evidence.columns) else 0.0
        present = new[~np.isnan(new)]
        words = []
        missing = float(np.isnan(new).mean())
        if wilson(np.isnan(new).sum(), len(new)).low > float(np.isnan(known).mean()) + _MISSING:
            words.append(f"{100 * missing:.1f} % missing, {100 * float(np.isnan(known).mean()):.1f} % in training")
        is_number = schema.columns[k].kind == "number"
        if is_number and len(present) and not np.isnan(known).all():
            low, high = float(np.nanmin(known)), float(np.nanmax(known))
            outside = int(((present < low) | (present > high)).sum())
            known_values = int((~np.isnan(known)).sum())
            limit = betabinom.ppf(1 - BUDGET / len(names), len(present), 2, max(known_values - 1, 1))  # by chance
            if outside > limit:
                words.append(
                    f"{100 * outside / len(present):.1f} % outside of {low:.4g} to {high:.4g}, the range in training "
                    f"(here {present.min():.4g} to {present.max():.4g})"
                )
        if capital >= math.log(2 * len(names) / BUDGET):
            column = schema.columns[k]
            words.append(f"its distribution has moved ({middle_of(column, known)} in training, "
                         f"{middle_of(column, new)} here)")  # fmt: skip
        if words:
            changes.append((capital, f"column {name}: {'; '.join(words)}"))
    return [change for _, change in sorted(changes, key=lambda each: -each[0])]


def middle_of(column: Column, values: NDArray[np.float32]) -> str:
    """The middle of a column, ``(n,)``: the median of numbers, else the most frequent word and its share."""
    present = values[~np.isnan(values)]
    if not len(present):
        return "missing"
    if column.kind in ("number", "time"):
        return f"median {column.spell(float(np.median(present)))}"
    kinds, counts = np.unique(present, return_counts=True)
    return f"{100 * counts.max() / len(present):.0f} % {column.spell(float(kinds[counts.argmax()]))}"
