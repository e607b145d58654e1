"""Bias and false-positive rate of each pair of methods, as lines of a table."""

from collections.abc import Sequence
from typing import NamedTuple

from sad_lightning.convergence.study import Design, Runs, exponent, pooled_deviation
from sad_lightning.drawing.tables import csv_table, markdown_table

PAIRS = (("deep_svdd", "deep_sad"), ("deep_svdd", "hsc"), ("ae", "sae"), ("ae", "abc"))  # ye2021 Figures 2, 9 to 11


class Line(NamedTuple):
    """One pair at one n and alpha, over all runs: means, pooled deviations, and the exponents of n in the latter."""

    label_free: str
    with_labels: str
    n: int
    alpha: float
    bias: float
    bias_spread: float
    bias_exponent: float
    fpr: float
    fpr_spread: float
    fpr_exponent: float


def lines_of_pair(runs: Runs, design: Design, names: Sequence[str], free: int, labels: int) -> list[Line]:
    """The lines of one pair, by alpha and n; ``free`` and ``labels`` are the positions of its methods."""
    biases = runs.recall[..., labels] - runs.recall[..., free]  # (sizes, alphas, R)
    rates = runs.fpr[..., labels]  # (sizes, R)
    fpr_spreads = [pooled_deviation(some, runs.training) for some in rates]
    lines = []
    for i, alpha in enumerate(design.alphas):
        spreads = [pooled_deviation(some, runs.training) for some in biases[:, i]]
        for k, n in enumerate(design.sizes):
            lines.append(Line(
                names[free], names[labels], n, alpha, float(biases[k, i].mean()), spreads[k],
                exponent(design.sizes, spreads), float(rates[k].mean()), fpr_spreads[k],
                exponent(design.sizes, fpr_spreads),
            ))  # fmt: skip
    return lines


def as_markdown(lines: Sequence[Line]) -> str:
    """The lines as a Markdown table."""
    head = ("label-free", "with labels", "alpha", "n", "bias", "spread", "exponent", "FPR", "spread", "exponent")
    rows = [
        [
            line.label_free, line.with_labels, f"{line.alpha:.3g}", str(line.n), f"{line.bias:+.3f}",
            f"{line.bias_spread:.4f}", f"{line.bias_exponent:.2f}", f"{line.fpr:.4f}", f"{line.fpr_spread:.4f}",
            f"{line.fpr_exponent:.2f}",
        ]
        for line in lines
    ]  # fmt: skip
    return markdown_table(head, rows)


def as_csv(lines: Sequence[Line]) -> str:
    """The lines as CSV."""
    return csv_table(Line._fields, lines)
