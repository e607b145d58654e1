"""Networks as objects: frozen settings with ``encoder()`` and ``decoder()``."""

from sad_lightning.networks.lenet import LeNet as LeNet
from sad_lightning.networks.lstm import LSTM as LSTM
from sad_lightning.networks.mlp import MLP as MLP
from sad_lightning.networks.network import Network as Network
from sad_lightning.networks.strided_cnn import StridedCNN as StridedCNN
