"""The interface of a network, and the check of a network that a hypersphere method uses."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sad_lightning.checks import true_or_false, whole_number, whole_numbers
from sad_lightning.errors import InputError
from sad_lightning.exports import subclasses

_BOUNDED = (nn.Sigmoid, nn.Tanh, nn.Softmax, nn.Hardtanh, nn.Hardsigmoid, nn.Softsign, nn.Softmin, nn.RNNBase)
# ReLU6 is a Hardtanh; recurrent cells end in a tanh


@dataclass(frozen=True, kw_only=True)
class Network(ABC):
    """Settings that build an encoder and the decoder that mirrors it. A new network is a subclass and a yaml.

    Attributes:
        squares: whether a squared error compares rows; it does not where they are numbers of words.
        shape: of one sample, ``(C, H, W)`` or ``(D,)``; filled in from the data.
        rep_dim: D, the dimension of the representation.
        bias: whether layers have biases; a layer before BatchNorm has that of the BatchNorm. Hypersphere methods
            refuse biases.
        allow_trivial_solution: whether a hypersphere method accepts the network even if it could map every row to the
            center.

    Raises:
        InputError: a setting is out of range, or does not fit the shape of the data.
    """

    squares: ClassVar[bool] = True
    shape: tuple[int, ...]
    rep_dim: int
    bias: bool
    allow_trivial_solution: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", whole_numbers("network.shape", self.shape))
        whole_number("network.rep_dim", self.rep_dim)
        true_or_false("network.bias", self.bias)
        true_or_false("network.allow_trivial_solution", self.allow_trivial_solution)

    @abstractmethod
    def encoder(self, heads: int = 1) -> nn.Module:
        """``(B, *shape)`` to ``(B, heads * D)``; a variational method has two heads, mean and log-variance."""

    @abstractmethod
    def decoder(self) -> nn.Module:
        """``(B, D)`` to ``(B, *shape)``."""

    def rebuild(self, decoder: nn.Module, z: Tensor, x: Tensor) -> Tensor:
        """The reconstruction of rows from their codes, ``(B, D)`` to ``(B, *shape)``.

        A network with a condition reads it in x, the rows that the codes are of.
        """
        return decoder(z)  # type: ignore[no-any-return]

    def errors(self, decoder: nn.Module, z: Tensor, x: Tensor) -> Tensor:
        """The squared error of each value that is reconstructed from codes ``(B, D)``, ``(B, values)``, in float32."""
        return (self.rebuild(decoder, z, x).float() - x).square().flatten(start_dim=1)

    @property
    def noise(self) -> int:
        """How many standard normal numbers a sample of a code takes: those of the code, then those of ``drop``."""
        return self.rep_dim

    def error(self, decoder: nn.Module, z: Tensor, x: Tensor, *, reduction: str, drop: Tensor | None) -> Tensor:
        """L_R, up to a constant -log p(x|z) of each row, ``(B,)``, in float32: the squared error of reconstruction.

        ``reduction`` is the mean or the sum over the values of a row. A network that drops a part of its input in
        training drops by ``drop``, ``(B, noise - D)`` standard normal; None drops nothing.
        """
        errors = self.errors(decoder, z, x)
        return errors.mean(dim=1) if reduction == "mean" else errors.sum(dim=1)

    def recipe(self) -> dict[str, Any]:
        """The settings as plain data, for a checkpoint; ``build`` reads them back."""
        return {"type": type(self).__name__, **asdict(self)}

    @staticmethod
    def build(recipe: "Network | Mapping[str, Any]") -> "Network":
        """A network from its recipe; a network is returned as it is.

        Only networks that are imported already are known by name: a checkpoint must not decide what is imported.

        Raises:
            InputError: no network of that name is imported.
        """
        if isinstance(recipe, Network):
            return recipe
        settings = dict(recipe)
        name = settings.pop("type", None)
        known: dict[str, type[Network]] = subclasses(Network)
        if name not in known:
            raise InputError(
                f"network: the checkpoint names {name!r}, there are {', '.join(sorted(known))}; import the module "
                f"that defines it before loading"
            )
        return known[name](**settings)


def channels_last(*layers: nn.Module) -> nn.Sequential:
    """The layers in the memory format in which convolutions are fastest, which is also that of the data."""
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def start_glorot(module: nn.Module) -> None:
    """Draw the weights of all layers from Glorot's uniform distribution; biases stay as they are."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)


def check_squares(network: Network) -> None:
    """Refuse a network of words, which a squared error does not compare."""
    if not network.squares:
        raise InputError(
            f"network: {type(network).__name__} reads words, which a squared error of reconstruction does not compare; "
            f"choose method=dp_vae, mml_vae, vae or classifier, and pretrain=none or vae"
        )


def check_hypersphere(encoder: nn.Module) -> None:
    """Refuse an encoder that can map every row to the center (Ruff et al. 2018, propositions 1 to 3).

    Raises:
        InputError: a layer has a bias, an affine normalisation or a bounded activation.
    """
    for name, layer in encoder.named_modules():
        if isinstance(getattr(layer, "bias", None), nn.Parameter) or getattr(layer, "bias", None) is True:
            fault = "a bias"
        elif isinstance(layer, _BOUNDED):
            fault = "a bounded activation"
        elif any(True for _ in layer.parameters(recurse=False)) and "Norm" in type(layer).__name__:
            fault = "an affine normalisation"
        else:
            continue
        raise InputError(
            f"network: a hypersphere network must have no bias, affine normalisation or bounded activation, or it can "
            f"map everything to the center; layer {name} ({type(layer).__name__}) has {fault}; remove it (network.bias="
            f"false), or set network.allow_trivial_solution=true"
        )
