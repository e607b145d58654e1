"""Networks as objects: frozen settings with ``encoder(shape)`` and ``decoder(shape)``."""

from sad_lightning.networks.lenet import LeNet as LeNet
from sad_lightning.networks.mlp import MLP as MLP
from sad_lightning.networks.network import Network as Network
