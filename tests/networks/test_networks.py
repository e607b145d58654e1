import pytest
import torch
from torch import nn

from sad_lightning.errors import InputError
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.ae import AE
from sad_lightning.methods.deep_svdd import DeepSVDD
from sad_lightning.networks import LSTM, MLP, LeNet, Network, StridedCNN
from sad_lightning.networks.lenet import Doubling, doubled
from sad_lightning.networks.mlp import SomeColumns
from sad_lightning.networks.network import check_hypersphere
from sad_lightning.training.population import Population

MNIST = {"shape": (1, 28, 28), "widths": [8, 4], "dense": [], "rep_dim": 32, "leak": 0.1, "bias": False,
         "allow_trivial_solution": False}  # fmt: skip
SIZES = [
    MNIST,
    {**MNIST, "widths": [16, 32], "dense": [64]},
    {**MNIST, "widths": [16, 32], "dense": [128], "rep_dim": 64},
    {**MNIST, "shape": (3, 32, 32), "widths": [32, 64, 128], "rep_dim": 128},
    {**MNIST, "shape": (1, 8, 8), "widths": [16, 32]},
    {**MNIST, "shape": (3, 64, 64), "widths": [8, 8, 8, 8]},
    {**MNIST, "rep_dim": 16},
    {**MNIST, "rep_dim": 512},
]


@pytest.mark.parametrize("settings", SIZES, ids=str)
def test_lenet_encodes_and_decodes_back(settings):
    network = LeNet(**settings)
    x = torch.rand(7, *network.shape)
    z = network.encoder()(x)
    assert z.shape == (7, network.rep_dim)
    back = network.decoder()(z)
    assert back.shape == x.shape
    assert back.min() >= 0
    assert back.max() <= 1


def test_lenet_of_mnist_is_that_of_appendix_d():
    encoder = LeNet(**MNIST).encoder()
    weights = {name: tuple(p.shape) for name, p in encoder.named_parameters()}
    assert list(weights.values()) == [(8, 1, 5, 5), (4, 8, 5, 5), (32, 4 * 7 * 7)]
    decoder = LeNet(**MNIST).decoder()
    assert [tuple(p.shape) for p in decoder.parameters()] == [(2, 4, 5, 5), (4, 8, 5, 5), (8, 1, 5, 5)]
    cifar = LeNet(**SIZES[3]).decoder()
    assert [tuple(p.shape) for p in cifar.parameters()] == [
        (8, 128, 5, 5),
        (128, 64, 5, 5),
        (64, 32, 5, 5),
        (32, 3, 5, 5),
    ]


STRIDED = {"shape": (1, 28, 28), "widths": [64, 128], "dense": [1024], "rep_dim": 32, "kernel": 4, "leak": 0.0,
           "bias": True, "allow_trivial_solution": False, "normalize": False}  # fmt: skip
CATS = {**STRIDED, "shape": (3, 64, 64), "widths": [128, 256, 512], "dense": [], "rep_dim": 256, "kernel": 3,
        "leak": 0.1, "bias": False, "normalize": True}  # fmt: skip
TABLE = {"shape": (21,), "widths": [32, 16], "rep_dim": 8, "leak": 0.1, "bias": False,
         "allow_trivial_solution": False, "bounded": True, "normalize": True}  # fmt: skip
RECURRENT = {"shape": (1, 25, 12), "width": 16, "layers": 3, "rep_dim": 8, "bias": False,
             "allow_trivial_solution": False, "bounded": True}  # fmt: skip


@pytest.mark.parametrize(("kind", "settings"), [(StridedCNN, STRIDED), (StridedCNN, CATS), (LSTM, RECURRENT)])
def test_other_networks_encode_and_decode_back(kind, settings):
    network = kind(**settings)
    x = torch.rand(3, *network.shape)
    z = network.encoder()(x)
    assert z.shape == (3, network.rep_dim)
    assert network.encoder(heads=2)(x).shape == (3, 2 * network.rep_dim)
    back = network.decoder()(z)
    assert back.shape == x.shape
    assert back.min() >= 0
    assert back.max() <= 1


def test_strided_networks_are_those_of_daniel2021():
    shapes = [tuple(p.shape) for p in StridedCNN(**STRIDED).encoder().parameters() if p.ndim > 1]
    assert shapes == [(64, 1, 4, 4), (128, 64, 4, 4), (1024, 128 * 7 * 7), (32, 1024)]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in StridedCNN(**STRIDED).encoder())
    shapes = [tuple(p.shape) for p in StridedCNN(**CATS).encoder().parameters()]
    assert shapes == [(128, 3, 3, 3), (256, 128, 3, 3), (512, 256, 3, 3), (256, 512 * 8 * 8)]
    check_hypersphere(StridedCNN(**CATS).encoder())


@pytest.mark.parametrize("double", [Doubling(), doubled], ids=["any", "gpu"])
def test_a_pixel_becomes_four_and_its_gradient_is_their_sum(double):
    x = torch.arange(12.0).view(2, 1, 2, 3).requires_grad_()
    out = double(x)
    assert out[1, 0].tolist() == [[6, 6, 7, 7, 8, 8]] * 2 + [[9, 9, 10, 10, 11, 11]] * 2
    weights = torch.arange(48.0).view(2, 1, 4, 6)
    (out * weights).sum().backward()
    assert x.grad[0, 0].tolist() == [[14, 22, 30], [62, 70, 78]]  # 0 + 1 + 6 + 7, 2 + 3 + 8 + 9, ...


@pytest.mark.parametrize("network", [LeNet(**{**MNIST, "bias": True}), MLP(**{**TABLE, "bias": True})])
def test_a_bias_stands_once_in_each_layer(network):
    """A bias before BatchNorm has no gradient but rounding, on which Adam would walk at random."""
    for part in (network.encoder(), network.decoder()):
        layers = [layer for layer in part if any(True for _ in layer.parameters())]
        for layer, after in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(after, nn.BatchNorm1d | nn.BatchNorm2d):
                assert layer.bias is None
                assert after.bias is not None
            else:
                assert layer.bias is not None


def test_recurrent_networks_are_bounded_and_train_alone():
    network = LSTM(**RECURRENT)
    with pytest.raises(InputError, match=r"lstm \(LSTM\) has a bounded activation"):
        check_hypersphere(network.encoder())
    adam = Adam(lr=1e-3, milestones=[], decay=0.1, weight_decay=0.0)
    methods = [AE(network=network, optimizer=adam, initial_weights="torch") for _ in range(2)]
    with pytest.raises(InputError, match="recurrent layers have no stacked form"):
        Population(methods)
    with pytest.raises(InputError, match="allow_trivial_solution=true"):
        DeepSVDD(network=network, optimizer=adam)
    svdd = DeepSVDD(network=LSTM(**{**RECURRENT, "allow_trivial_solution": True}), optimizer=adam)
    svdd.start_from(methods[0])
    x = torch.rand(4, 1, 25, 12)
    assert svdd.score(x).shape == methods[0].score(x).shape == (4,)


def test_mlp_mirrors():
    network = MLP(**TABLE)
    assert [tuple(p.shape) for p in network.encoder().parameters()] == [(32, 21), (16, 32), (8, 16)]
    assert [tuple(p.shape) for p in network.decoder().parameters()] == [(16, 8), (32, 16), (21, 32)]
    assert isinstance(network.decoder()[-1], nn.Sigmoid)
    plain = MLP(**{**TABLE, "widths": [32], "bias": True, "normalize": False}).encoder()
    assert [type(layer) for layer in plain] == [nn.Linear, nn.LeakyReLU, nn.Linear]
    assert plain[0].bias is not None


@pytest.mark.parametrize(
    ("network", "settings", "words"),
    [
        (LeNet, {**MNIST, "rep_dim": 30}, "network.rep_dim must be a multiple of 16"),
        (StridedCNN, {**STRIDED, "shape": (1, 30, 30)}, "must halve 30 pixels exactly"),
        (StridedCNN, {**STRIDED, "kernel": 5}, "network.kernel must be one of 3, 4"),
        (LSTM, {**RECURRENT, "shape": (3, 8, 8)}, "needs sequences"),
        (LSTM, {**RECURRENT, "layers": 0}, "network.layers must be"),
        (LeNet, {**MNIST, "dense": [40]}, "network.dense must be a multiple of 16"),
        (LeNet, {**MNIST, "shape": (21,)}, "needs square images"),
        (LeNet, {**MNIST, "shape": (1, 28, 30)}, "needs square images"),
        (LeNet, {**MNIST, "shape": (1, 27, 27)}, "reaches"),
        (LeNet, {**MNIST, "widths": [1] * 6}, "network.widths"),
        (LeNet, {**MNIST, "leak": "x"}, "network.leak"),
        (LeNet, {**MNIST, "rep_dim": 0}, "network.rep_dim"),
        (MLP, {**TABLE, "shape": (1, 8, 8)}, "rows"),
        (MLP, {**TABLE, "allow_trivial_solution": "no"}, "network.allow_trivial_solution must be true or false"),
    ],
)
def test_settings_that_do_not_fit_are_refused(network, settings, words):
    with pytest.raises(InputError, match="network") as raised:
        network(**settings)
    assert words in str(raised.value)


def test_recipes_are_plain_and_build_the_same_network():
    for network in (
        LeNet(**MNIST),
        MLP(**TABLE),
    ):
        assert Network.build(network.recipe()) == network
    with pytest.raises(InputError, match="import the module"):
        Network.build({"type": "os.system"})

    class Mine(MLP):
        """A network of one's own, like another."""

    assert Network.build(Mine(**TABLE).recipe()) == Mine(**TABLE)


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        (nn.Linear(2, 2), "a bias"),
        (nn.Conv2d(1, 1, 3), "a bias"),
        (nn.BatchNorm1d(2), "a bias"),
        (nn.LayerNorm(2, bias=False), "an affine normalisation"),
        (nn.Sigmoid(), "a bounded activation"),
        (nn.ReLU6(), "a bounded activation"),
        (nn.Tanh(), "a bounded activation"),
    ],
)
def test_what_lets_a_hypersphere_collapse_is_refused(layer, found):
    network = nn.Sequential(nn.Linear(2, 2, bias=False), layer)
    with pytest.raises(InputError, match=found):
        check_hypersphere(network)
    check_hypersphere(LeNet(**MNIST).encoder())


def test_an_encoder_sees_clipped_values_of_some_columns():
    torch.manual_seed(0)
    layer = SomeColumns(10, 0.5, 2.0)
    x = torch.tensor([[5.0, -5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    seen = layer.mask > 0
    assert int(seen.sum()) == 5
    expected = x.clamp(-2, 2) * seen * 2**0.5  # the others make up for what is not seen
    torch.testing.assert_close(layer(x), expected)
    assert int((SomeColumns(10, 0.1, None).mask > 0).sum()) == 3
    assert SomeColumns(2, 0.1, None)(torch.tensor([[3.0, 4.0]])).tolist() == [[3.0, 4.0]]
    assert not torch.equal(layer.mask, SomeColumns(10, 0.5, 2.0).mask)
    network = MLP(**{**TABLE, "columns": 0.5, "clip": 2.0})
    assert isinstance(network.encoder()[0], SomeColumns)
    assert not isinstance(network.decoder()[0], SomeColumns)
    for wrong, words in (({"columns": 0.0}, "network.columns"), ({"columns": 1.5}, "network.columns"),
                         ({"clip": -1.0}, "network.clip")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            MLP(**{**TABLE, **wrong})
