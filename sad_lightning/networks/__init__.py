"""Networks as objects: frozen settings with ``encoder()`` and ``decoder()``."""

from sad_lightning.networks.lenet import LeNet
from sad_lightning.networks.lstm import LSTM
from sad_lightning.networks.mlp import MLP
from sad_lightning.networks.network import Network
from sad_lightning.networks.sentence import Sentence
from sad_lightning.networks.strided_cnn import StridedCNN

__all__ = ["LSTM", "MLP", "LeNet", "Network", "Sentence", "StridedCNN"]
