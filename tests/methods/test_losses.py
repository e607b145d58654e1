"""Every loss against numbers worked out by hand."""

from dataclasses import replace

import pytest
import torch

from sad_lightning.data.module import Batch
from sad_lightning.errors import InputError
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.ae import AE
from sad_lightning.methods.autoencoder import reconstruction_error
from sad_lightning.methods.deep_sad import DeepSAD, deep_sad_loss
from sad_lightning.methods.deep_svdd import DeepSVDD
from sad_lightning.methods.hypersphere import away_from_zero, initial_center, spread, squared_distance
from sad_lightning.methods.soft_deep_sad import SoftDeepSAD, soft_deep_sad_loss
from sad_lightning.methods.soft_deep_svdd import SoftDeepSVDD, soft_deep_svdd_loss
from sad_lightning.networks import MLP

ADAM = Adam(lr=1e-3, milestones=[1], decay=0.1, weight_decay=0.0)
NETWORK = MLP(
    shape=(2,), widths=[], rep_dim=2, leak=0.1, bias=False, allow_trivial_solution=False, bounded=False, normalize=True
)


def semi(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int8)


def linear(method):
    """The encoder becomes z = 2 x, the center (1, 0)."""
    with torch.no_grad():
        method.sphere.encoder[-1].weight.copy_(2 * torch.eye(2))
        method.sphere.center.copy_(torch.tensor([1.0, 0.0]))
    return method


def test_deep_sad_terms_alone_and_together():
    distance = torch.tensor([4.0, 9.0, 0.25])
    assert deep_sad_loss(distance, semi(0, 0, 0), 3.0).item() == pytest.approx((4 + 9 + 0.25) / 3)
    assert deep_sad_loss(distance, semi(1, 1, 1), 3.0).item() == pytest.approx(3 * (4 + 9 + 0.25) / 3)
    assert deep_sad_loss(distance, semi(-1, -1, -1), 3.0).item() == pytest.approx(1 / 4 + 1 / 9 + 4, rel=1e-5)
    # 4 unlabeled, 2 * 9 known normal, 2 / 0.25 known anomaly
    assert deep_sad_loss(distance, semi(0, 1, -1), 2.0).item() == pytest.approx((4 + 18 + 8) / 3, rel=1e-5)


def test_deep_sad_epsilon_bounds_the_inverse_and_its_gradient():
    distance = torch.zeros(2, requires_grad=True)
    loss = deep_sad_loss(distance, semi(-1, 0), 1.0)
    assert loss.item() == pytest.approx(0.5e6)
    loss.backward()
    assert distance.grad is not None
    assert torch.isfinite(distance.grad).all()


def test_deep_sad_without_labels_is_deep_svdd():
    x = torch.tensor([[1.0, 2.0], [0.5, 0.0], [3.0, 1.0]])
    sad = linear(DeepSAD(network=NETWORK, optimizer=ADAM, eta=5.0, eps=1e-6))
    svdd = linear(DeepSVDD(network=NETWORK, optimizer=ADAM))
    # z = (2, 4), (1, 0), (6, 2): squared distances to (1, 0) are 17, 0, 29
    assert svdd.loss(Batch(x, semi(0, 0, 1))).item() == pytest.approx(46 / 3)
    assert sad.loss(Batch(x, semi(0, 0, 0))).item() == pytest.approx(46 / 3)
    assert sad.score(x).tolist() == pytest.approx([17**0.5, 0, 29**0.5])
    assert svdd.score(x).tolist() == pytest.approx([17**0.5, 0, 29**0.5])


def test_deep_sad_with_a_vanishing_eta_ignores_the_labels():
    distance = torch.tensor([4.0, 9.0, 0.25])
    assert deep_sad_loss(distance, semi(0, 1, -1), 1e-12).item() == pytest.approx(4 / 3)


def test_soft_boundary_terms_alone_and_together():
    distance, radius = torch.tensor([4.0, 9.0, 0.25]), torch.tensor(2.0)  # R^2 = 4
    assert soft_deep_svdd_loss(distance, radius, 0.5).item() == pytest.approx(4 + 5 / (0.5 * 3))
    assert soft_deep_svdd_loss(distance, torch.zeros(()), 0.5).item() == pytest.approx(13.25 / 1.5)
    assert soft_deep_sad_loss(distance, semi(0, 0, 0), radius, 3.0, 0.5).item() == pytest.approx(4 + 5 / 1.5)
    # known normals pay outside: 3 * 5; known anomalies inside: 3 * 3.75
    assert soft_deep_sad_loss(distance, semi(0, 1, 0), radius, 3.0, 0.5).item() == pytest.approx(4 + 15 / 1.5)
    assert soft_deep_sad_loss(distance, semi(0, 0, -1), radius, 3.0, 0.5).item() == pytest.approx(4 + (5 + 11.25) / 1.5)
    assert soft_deep_sad_loss(distance, semi(0, 1, -1), radius, 3.0, 0.5).item() == pytest.approx(4 + 26.25 / 1.5)
    assert soft_deep_sad_loss(distance, semi(0, 1, -1), radius, 1e-12, 0.5).item() == pytest.approx(4)


def test_the_radius_is_solved_from_the_distances_of_the_step():
    x = torch.tensor([[1.0, 2.0], [0.5, 0.0], [3.0, 1.0]])  # squared distances 17, 0, 29
    for method in (
        linear(SoftDeepSVDD(network=NETWORK, optimizer=ADAM, nu=0.5)),
        linear(SoftDeepSAD(network=NETWORK, optimizer=ADAM, eta=1.0, nu=0.5)),
    ):
        batch = Batch(x, semi(0, 0, 0))
        assert method.loss(batch).item() == pytest.approx(46 / 1.5)
        assert method.sphere.radius == 0  # a loss changes nothing
        method.solve(batch, {"sphere": method.sphere(x)})
        assert method.sphere.radius.item() == pytest.approx(17**0.5)  # the second of three
        assert method.loss(batch).item() == pytest.approx(17 + 12 / 1.5)
        assert method.sphere.margin(x).tolist() == pytest.approx([0, -(17**0.5), 29**0.5 - 17**0.5], abs=1e-5)
        method.finish([batch, Batch(x[:1], semi(0))])  # 0, 17, 17, 29: the second of four
        assert method.sphere.radius.item() == pytest.approx(17**0.5)


def test_spread_vanishes_when_all_is_one_point():
    center = torch.tensor([3.0, 4.0])
    found = spread(torch.tensor([[3.0, 5.0], [3.0, 7.0]]), center)
    # coordinates deviate by 0 and 1: sqrt(1/2) over sqrt(25/2); distances 1 and 3: 1 over 2
    assert found["spread"].item() == pytest.approx(0.2)
    assert found["score_spread"].item() == pytest.approx(0.5)
    assert spread(center.expand(4, 2) + 1, center)["spread"].item() == pytest.approx(0, abs=1e-6)


def test_autoencoder_error_is_the_mean_over_all_values():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert reconstruction_error(torch.zeros(2, 2), x).tolist() == [2.5, 12.5]
    assert reconstruction_error(torch.zeros(2, 1, 1, 2), x.view(2, 1, 1, 2)).tolist() == [2.5, 12.5]
    method = AE(network=NETWORK, optimizer=ADAM, initial_weights="glorot")
    with torch.no_grad():
        method.autoencoder.encoder[-1].weight.copy_(torch.eye(2))
        method.autoencoder.decoder[-1].weight.copy_(0.5 * torch.eye(2))
    assert method.loss(Batch(x, semi(0, 0))).item() == pytest.approx((0.625 + 3.125) / 2)


def test_autoencoder_starts_from_uniform_glorot_or_as_torch_does():
    network = replace(NETWORK, shape=(300,), rep_dim=100)
    for name, bound in (("glorot", (6 / 400) ** 0.5), ("torch", 300**-0.5)):
        torch.manual_seed(0)
        weight = AE(network=network, optimizer=ADAM, initial_weights=name).get_encoder()[-1].weight
        assert weight.abs().max() <= bound
        assert weight.abs().mean().item() == pytest.approx(bound / 2, rel=0.02)
    with pytest.raises(InputError, match="initial_weights must be one of glorot, torch"):
        AE(network=network, optimizer=ADAM, initial_weights="he")


def test_center_is_the_mean_without_known_anomalies_pushed_from_zero():
    encoder = torch.nn.Identity()
    batches = [
        Batch(torch.tensor([[1.0, 0.04, -0.02], [100.0, 100, 100]]), semi(0, -1)),
        Batch(torch.tensor([[3.0, 0.02, -0.06]]), semi(1)),
    ]
    torch.testing.assert_close(initial_center(encoder, batches), torch.tensor([2.0, 0.1, -0.1]))
    assert away_from_zero(torch.tensor([0.0, -0.05, 0.3, -2]), 0.1).tolist() == pytest.approx([0.1, -0.1, 0.3, -2])


def test_center_runs_in_eval_mode_and_leaves_the_statistics_alone():
    encoder = torch.nn.Sequential(torch.nn.BatchNorm1d(2, affine=False)).train()
    initial_center(encoder, [Batch(torch.randn(8, 2) + 5, torch.zeros(8, dtype=torch.int8))])
    assert encoder.training
    assert encoder[0].running_mean.tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_distances_are_taken_in_float32(dtype):
    representation = torch.full((1, 4), 300.0, dtype=dtype)  # the squares overflow float16
    for center in (torch.zeros(4), torch.zeros(4, dtype=dtype)):  # the second as in a model that is all half
        distance = squared_distance(representation, center)
        assert distance.dtype == torch.float32
        assert distance.tolist() == [360_000.0]
    assert reconstruction_error(representation, torch.zeros(1, 4, dtype=dtype)).tolist() == [90_000.0]


@pytest.mark.parametrize("fused", [False, True])
def test_decoupled_decay_is_adamw(fused):
    start = torch.tensor([1.0, -2.0])
    weights = [torch.nn.Parameter(start.clone()) for _ in range(2)]
    settings = Adam(lr=0.1, milestones=[], decay=0.1, weight_decay=0.3, decoupled=True, fused=fused)
    ours = settings.configure([weights[0]])["optimizer"]
    assert ours.defaults["fused"] is fused
    theirs = torch.optim.AdamW([weights[1]], lr=0.1, weight_decay=0.3)
    for optimizer, weight in zip((ours, theirs), weights, strict=True):
        for _ in range(3):
            optimizer.zero_grad()
            (weight**3).sum().backward()
            optimizer.step()
    torch.testing.assert_close(weights[0], weights[1])
    assert not torch.allclose(weights[0], start)


def test_weights_on_an_accelerator_are_not_moved_by_the_fused_steps_of_a_cpu():
    settings = Adam(lr=0.1, milestones=[], decay=0.1, weight_decay=0.0, fused=True)
    elsewhere = torch.nn.Parameter(torch.empty(2, device="meta"))
    assert settings.configure([elsewhere])["optimizer"].defaults["fused"] is False


def test_eps_bounds_the_inverse_of_a_distance():
    distance, semi = torch.tensor([0.0, 1.0]), torch.tensor([-1, 0])
    assert float(deep_sad_loss(distance, semi, 2.0, 1e-3)) == pytest.approx((2 * 1000 + 1) / 2)
