"""Networks whose size follows from the data, by the sizes of ruff2020 appendix D."""

from collections.abc import Sequence

from sad_lightning.networks.lenet import LeNet
from sad_lightning.networks.mlp import MLP


def mlp_for(
    *,
    shape: Sequence[int],
    widths: Sequence[int] | None,
    rep_dim: int | None,
    leak: float,
    bias: bool,
    allow_trivial_solution: bool,
    bounded: bool,
    normalize: bool,
) -> MLP:
    """A perceptron for rows of D columns; what is None is chosen.

    The representation has the smallest power of two from 8 to 64 that is at least D / 10 (8 for cardio's 21, 32 for
    arrhythmia's 274), and the hidden layers four and two times as many units.

    Raises:
        InputError: a setting is out of range.
    """
    code = 8
    while code < 64 and 10 * code < shape[0]:
        code *= 2
    code = code if rep_dim is None else rep_dim
    units = (4 * code, 2 * code) if widths is None else widths
    return MLP(
        shape=tuple(shape), widths=units, rep_dim=code, leak=leak, bias=bias,
        allow_trivial_solution=allow_trivial_solution, bounded=bounded, normalize=normalize,
    )  # fmt: skip


def lenet_for(
    *,
    shape: Sequence[int],
    widths: Sequence[int] | None,
    dense: Sequence[int] | None,
    rep_dim: int | None,
    leak: float,
    bias: bool,
    allow_trivial_solution: bool,
) -> LeNet:
    """A LeNet for images of side H; what is None is chosen.

    At least two modules halve the side until it is 7 or less, with 16 filters in the first, or 32 from 32 pixels on,
    and twice as many in each next, at most 128. The representation has 32 dimensions below 32 pixels, behind a dense
    layer of 64, and 128 from there on: Fashion-MNIST's and CIFAR-10's networks.

    Raises:
        InputError: a setting is out of range, or the images are not square.
    """
    large = shape[-1] >= 32
    if widths is None:
        widths = [32 if large else 16]
        while shape[-1] // 2 ** len(widths) > 7 or len(widths) < 2:
            widths = [*widths, min(128, 2 * widths[-1])]
    if dense is None:
        dense = [] if large or rep_dim is not None else [64]
    code = rep_dim if rep_dim is not None else 128 if large else 32
    return LeNet(
        shape=tuple(shape), widths=widths, dense=dense, rep_dim=code, leak=leak, bias=bias,
        allow_trivial_solution=allow_trivial_solution,
    )  # fmt: skip
