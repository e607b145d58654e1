"""The autoencoder that several methods hold: an encoder, the decoder that mirrors it, and their initial weights."""

from torch import Tensor

from sad_lightning.checks import choice
from sad_lightning.methods.part import Part
from sad_lightning.networks import Network
from sad_lightning.networks.network import check_squares, start_glorot


class Autoencoder(Part):
    """An encoder and a decoder.

    Args:
        network: builds both.
        initial_weights: ``glorot``, uniform, as in the text of ruff2020; ``torch``, PyTorch's own, which are smaller,
            as in the authors' code for tables.

    Attributes:
        network: builds both.
        encoder: ``(B, ...)`` to ``(B, D)``.
        decoder: ``(B, D)`` to ``(B, ...)``.

    Raises:
        InputError: ``initial_weights`` has another value, or rows are words.
    """

    def __init__(self, network: Network, initial_weights: str) -> None:
        super().__init__()
        choice("method.initial_weights", initial_weights, ("glorot", "torch"))
        check_squares(network)
        self.network, self.encoder, self.decoder = network, network.encoder(), network.decoder()
        if initial_weights == "glorot":
            start_glorot(self)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction error of each row, ``(B,)``."""
        return reconstruction_error(self.reconstruct(x), x)

    def reconstruct(self, x: Tensor) -> Tensor:
        """The reconstructed rows, ``(B, ...)``."""
        return self.network.rebuild(self.decoder, self.encoder(x), x)


def reconstruction_error(reconstruction: Tensor, x: Tensor) -> Tensor:
    """Mean squared error of each row over all its values, ``(B, ...)`` to ``(B,)``, in float32 under any autocast."""
    return (reconstruction.float() - x).square().flatten(start_dim=1).mean(dim=1)
