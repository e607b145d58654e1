"""What a network is to a method, and what a hypersphere network must not have."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from sad_lightning.errors import InputError, flag

_BOUNDED = (
    nn.Sigmoid,
    nn.Tanh,
    nn.Softmax,
    nn.Hardtanh,
    nn.Hardsigmoid,
    nn.Softsign,
    nn.Softmin,
)  # ReLU6 is a Hardtanh


@dataclass(frozen=True, kw_only=True)
class Network(ABC):
    """Settings that build an encoder and the decoder that mirrors it. A new network is a subclass and a yaml.

    Attributes:
        shape: one sample, ``(C, H, W)`` or ``(D,)``; filled in from the data.
        rep_dim: D, the dimension of the representation.
    """

    shape: tuple[int, ...]
    rep_dim: int

    @abstractmethod
    def encoder(self) -> nn.Module:
        """``(B, *shape)`` to ``(B, D)``."""

    @abstractmethod
    def decoder(self) -> nn.Module:
        """``(B, D)`` to ``(B, *shape)``."""

    def recipe(self) -> dict[str, Any]:
        """The settings as plain data, for a checkpoint; ``build`` reads them back."""
        return {"type": type(self).__name__, **asdict(self)}

    @staticmethod
    def build(recipe: "Network | Mapping[str, Any]") -> "Network":
        """A network from its recipe; a network passes through.

        Only networks that are imported already are found by their name: a checkpoint never decides what is imported.

        Raises:
            InputError: no network of that name is known.
        """
        if isinstance(recipe, Network):
            return recipe
        settings = dict(recipe)
        name = settings.pop("type", None)
        known = {network.__name__: network for network in Network.__subclasses__()}
        if name not in known:
            raise InputError(
                f"network: the checkpoint names {name!r}, there are {', '.join(sorted(known))}; import the module "
                f"that defines it before loading"
            )
        return known[name](**settings)


def check_hypersphere(encoder: nn.Module, *, allow_trivial_solution: bool) -> None:
    """Refuse an encoder that can map everything to the center (Ruff et al. 2018, propositions 1 to 3).

    Raises:
        InputError: a bias, an affine normalisation or a bounded activation was found.
    """
    if flag("method.allow_trivial_solution", allow_trivial_solution):
        return
    for name, layer in encoder.named_modules():
        if isinstance(getattr(layer, "bias", None), nn.Parameter):
            found = "a bias"
        elif isinstance(layer, _BOUNDED):
            found = "a bounded activation"
        elif any(True for _ in layer.parameters(recurse=False)) and "Norm" in type(layer).__name__:
            found = "an affine normalisation"
        else:
            continue
        raise InputError(
            f"network: a hypersphere network must have no bias, affine normalisation or bounded activation, or it can "
            f"map everything to the center; layer {name} ({type(layer).__name__}) has {found}; remove it (network.bias="
            f"false), or set method.allow_trivial_solution=true"
        )
