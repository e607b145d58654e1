"""Losses of the methods that need known anomalies, against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn.functional import binary_cross_entropy

from sad_lightning.data.module import Batch
from sad_lightning.errors import InputError
from sad_lightning.methods.abc import ABC
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.classifier import Classifier
from sad_lightning.methods.cross_entropy import exponential_cross_entropy
from sad_lightning.methods.devnet import DevNet
from sad_lightning.methods.hsc import HSC
from sad_lightning.methods.overlap import Overlap, overlap_area
from sad_lightning.methods.positive_unlabeled import positive_unlabeled_risk
from sad_lightning.methods.prenet import PReNet
from sad_lightning.methods.pu_ae import PUAE
from sad_lightning.methods.pu_svdd import PUSVDD
from sad_lightning.methods.sae import SAE, sae_loss
from sad_lightning.methods.ss_dgm import SSDGM, ss_dgm_loss
from sad_lightning.methods.vae import VAE
from sad_lightning.methods.variational import ELBO
from sad_lightning.networks import MLP

ADAM = Adam(lr=1e-3, milestones=[1], decay=0.1, weight_decay=0.0)
NETWORK = MLP(
    shape=(2,), widths=[], rep_dim=2, leak=0.1, bias=False, allow_trivial_solution=False, bounded=False, normalize=True
)


def semi(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int8)


def test_exponential_cross_entropy_terms_alone_and_together():
    distance = torch.tensor([2.0, 0.5, math.log(2.0)])
    assert exponential_cross_entropy(distance, semi(0, 1, 0)).tolist() == pytest.approx([2, 0.5, math.log(2)])
    # p(normal) = 1/2 at log 2: both answers cost log 2
    assert exponential_cross_entropy(distance, semi(-1, 0, -1)).tolist() == pytest.approx(
        [-math.log(1 - math.exp(-2)), 0.5, math.log(2)], rel=1e-5
    )
    reference = binary_cross_entropy((-distance).exp(), torch.tensor([0.0, 1.0, 0.0]), reduction="none")
    torch.testing.assert_close(exponential_cross_entropy(distance, semi(-1, 0, -1)), reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 200.0])
def test_exponential_cross_entropy_is_finite_at_the_ends(value):
    distance = torch.full((2,), value, requires_grad=True)
    loss = exponential_cross_entropy(distance, semi(-1, 0)).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(distance.grad).all()


def test_hsc_by_hand():
    x = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    for norm, expected in (("squared", [25.0, 0.25]), ("pseudo_huber", [math.sqrt(26) - 1, math.sqrt(1.25) - 1])):
        method = HSC(network=NETWORK, optimizer=ADAM, norm=norm)
        with torch.no_grad():
            method.encoder[-1].weight.copy_(torch.eye(2))
        assert method.score(x).tolist() == pytest.approx(expected, rel=1e-5)
        by_hand = (expected[0] - math.log(1 - math.exp(-expected[1]))) / 2
        assert method.loss(Batch(x, semi(0, -1))).item() == pytest.approx(by_hand, rel=1e-4)
    with pytest.raises(InputError, match="one of squared, pseudo_huber"):
        HSC(network=NETWORK, optimizer=ADAM, norm="l1")


def test_devnet_by_hand():
    """Scores 1, 3 and 6 as (B,), whose loss a (B, 1) beside a (B,) would average over all nine pairs."""
    method = DevNet(network=NETWORK, optimizer=ADAM, margin=5.0)
    with torch.no_grad():
        method.encoder[-1].weight.copy_(torch.eye(2))
        method.head[1].weight.copy_(torch.tensor([[1.0, 2.0]]))
        method.head[1].bias.fill_(1.0)
        assert method.prior.tolist() == pytest.approx([0, 1], abs=0.05)  # 3.5 deviations of a mean of 5,000
        method.prior.copy_(torch.tensor([0.5, 2.0]))
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 2.0]])
    assert method.score(x).tolist() == pytest.approx([1, 3, 6])
    deviations = [0.25, 1.25, 2.75]
    loss = method.loss(Batch(x, semi(0, -1, 1))).item()
    assert loss == pytest.approx((deviations[0] + (5 - deviations[1]) + deviations[2]) / 3)
    with torch.no_grad():
        method.head[1].bias.fill_(100.0)  # a known anomaly far above costs nothing
    assert method.loss(Batch(x, semi(-1, -1, -1))).item() == 0


def test_prenet_by_hand():
    method = PReNet(network=NETWORK, optimizer=ADAM, step=4.0)
    with torch.no_grad():
        method.encoder[-1].weight.copy_(torch.eye(2))
        method.relation.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 1.0]]))
        method.relation.bias.fill_(0.5)
    # some relations above their target and some below: were all above, the loss would not depend on the pairs
    x = torch.tensor([[1.0, 2.0], [3.0, 0.0], [5.0, 1.0], [0.0, 3.0]])

    def h(i: int, j: int) -> float:
        return x[i, 0].item() + x[j, 1].item() + 0.5

    # each row with the next, then with the one after that; the last two rows are known anomalies
    relations = [(0, 1, 0), (1, 2, 4), (2, 3, 8), (3, 0, 4), (0, 2, 4), (1, 3, 4), (2, 0, 4), (3, 1, 4)]
    batch = Batch(x, semi(0, 1, -1, -1))
    expected = sum(abs(h(i, j) - y) for i, j, y in relations) / 8
    assert method.loss(batch).item() == pytest.approx(expected)
    method.finish([batch])
    assert method.anomalous.tolist() == [2.5, 2]
    assert method.normal.tolist() == [2, 1]
    by_pairs = [((h(2, i) + h(3, i)) / 2 + (h(i, 0) + h(i, 1)) / 2) / 2 for i in range(4)]
    assert method.score(x).tolist() == pytest.approx(by_pairs)


def test_supervised_autoencoder_by_hand():
    error = torch.tensor([4.0, 0.5, 0.25])
    assert sae_loss(error, semi(0, 1, 0)).item() == pytest.approx(4.75 / 3)
    assert sae_loss(error, semi(-1, -1, -1)).item() == pytest.approx((0.25 + 2 + 4) / 3, rel=1e-5)
    assert sae_loss(error, semi(0, 1, -1)).item() == pytest.approx((4 + 0.5 + 4) / 3, rel=1e-5)


@pytest.mark.parametrize("kind", [SAE, ABC])
def test_reconstruction_methods_score_the_error(kind):
    method = kind(network=NETWORK, optimizer=ADAM, initial_weights="torch")
    with torch.no_grad():
        method.autoencoder.encoder[-1].weight.copy_(torch.eye(2))
        method.autoencoder.decoder[-1].weight.copy_(0.5 * torch.eye(2))
    x = torch.tensor([[2.0, 4.0], [1.0, 1.0]])  # halved: errors (1 + 4) / 2 and 1/4
    assert method.score(x).tolist() == pytest.approx([2.5, 0.25])
    pushed = 1 / 0.25 if kind is SAE else -math.log(1 - math.exp(-0.25))
    assert method.loss(Batch(x, semi(0, -1))).item() == pytest.approx((2.5 + pushed) / 2, rel=1e-4)


def test_classifier_by_hand():
    method = Classifier(network=NETWORK, optimizer=ADAM, initial_weights="torch")
    with torch.no_grad():
        method.encoder[-1].weight.copy_(torch.eye(2))
        method.head[1].weight.copy_(torch.tensor([[1.0, 1.0]]))
        method.head[1].bias.copy_(torch.tensor([0.5]))
    x = torch.tensor([[1.0, -2.0], [2.0, 1.0], [0.0, 0.0]])  # logits 1 - 0.2 + 0.5, 3.5, 0.5
    assert method.score(x).tolist() == pytest.approx([1.3, 3.5, 0.5])
    terms = [math.log(1 + math.exp(1.3)), math.log(1 + math.exp(-3.5)), math.log(1 + math.exp(0.5))]
    assert method.loss(Batch(x, semi(0, -1, 1))).item() == pytest.approx(sum(terms) / 3, rel=1e-5)


def test_ss_dgm_terms_alone_and_together():
    bound = torch.tensor([[1.0, 5.0], [2.0, 4.0], [3.0, 7.0]])
    log_q = torch.tensor([[0.8, 0.2], [0.5, 0.5], [0.9, 0.1]]).log()
    labeled = (5.0 + 2.0) / 2  # the first is a known anomaly, the second a known normal
    surprise = -(math.log(0.2) + math.log(0.5)) / 2
    unlabeled = 0.9 * (3 + math.log(0.9)) + 0.1 * (7 + math.log(0.1))
    assert ss_dgm_loss(bound, log_q, semi(-1, 1, 0), 0.1).item() == pytest.approx(labeled + unlabeled + 0.1 * surprise)
    assert ss_dgm_loss(bound, log_q, semi(-1, 1, 0), 0.0).item() == pytest.approx(labeled + unlabeled)
    assert ss_dgm_loss(bound[:2], log_q[:2], semi(-1, 1), 0.0).item() == pytest.approx(labeled)
    assert ss_dgm_loss(bound[2:], log_q[2:], semi(0), 0.1).item() == pytest.approx(unlabeled)


def test_ss_dgm_bound_by_hand():
    """With all weights zero the code is standard normal and the reconstruction 0: L = |x|^2/2 + log 2, q = 1/2."""
    method = SSDGM(
        network=NETWORK, optimizer=ADAM, stacked=False, widths=[3], alpha=0.1, initial_weights="glorot"
    )  # fmt: skip
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.zero_()
    x, noise = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.randn(2, 2, 2)
    # unlabeled: 12.5 + log 2 - entropy log 2; known anomaly: 0.5 + log 2, and 0.1 log 2 for its class
    expected = 12.5 + 0.5 + math.log(2) + 0.1 * math.log(2)
    assert method.loss(Batch(x, semi(0, -1), noise)).item() == pytest.approx(expected, rel=1e-5)
    assert method.score(x).tolist() == [0, 0]
    with torch.no_grad():
        method.inference[-1].bias.copy_(torch.tensor([1.0, 0, math.log(4), 0]))  # mean 1, variance 4 in one coordinate
    divergence = (4 + 1 - 1 - math.log(4)) / 2
    assert method.loss(Batch(x, semi(0, -1), noise)).item() == pytest.approx(expected + 2 * divergence, rel=1e-5)


def test_pixels_are_bernoulli():
    from sad_lightning.networks import LeNet

    network = LeNet(
        shape=(1, 8, 8), widths=[2], dense=[], rep_dim=16, leak=0.1, bias=True, allow_trivial_solution=False
    )
    method = SSDGM(network=network, optimizer=ADAM, stacked=False, widths=[3], alpha=0.0, initial_weights="torch")
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.zero_()
    loss = method.loss(Batch(torch.rand(4, 1, 8, 8), semi(-1, -1, 1, -1), torch.randn(4, 2, 16)))
    assert loss.item() == pytest.approx(65 * math.log(2), rel=1e-5)  # each pixel costs log 2, and so does the class


def test_m1_is_taken_over_frozen_and_must_fit():
    elbo = ELBO(beta_kl=1.0, annealing=0, samples=1, reconstruction="sum")
    first = VAE(network=NETWORK, optimizer=ADAM, elbo=elbo)
    second = SSDGM(network=NETWORK, optimizer=ADAM, stacked=True, widths=[3], alpha=0.1, initial_weights="glorot")
    second.start_from(first)
    assert torch.equal(second.encoder[-1].weight, first.vae.encoder[-1].weight)
    second.train()
    assert not second.encoder.training
    second.loss(Batch(torch.randn(3, 2), semi(0, 0, -1), torch.randn(3, 2, 2))).backward()
    assert second.encoder[-1].weight.grad is None
    hypersphere = HSC(network=NETWORK, optimizer=ADAM, norm="squared")
    with pytest.raises(InputError, match="pretrain: the encoder of VAE must fit the one of HSC"):
        hypersphere.start_from(first)


def normal_cdf(value: float) -> float:
    return (1 + math.erf(value / math.sqrt(2))) / 2


def test_overlap_of_two_scores_by_hand():
    """Densities of one row each and of one width cross halfway, whichever lies above."""
    anomalous = torch.tensor([False, True])
    for scores, gap in (([0.0, 3.0], 3.0), ([3.0, 0.0], -3.0)):
        area = overlap_area(torch.tensor(scores), anomalous, bandwidth=0.5).item()
        assert area == pytest.approx(2 * normal_cdf(-gap / 2 / 0.5), rel=1e-3)


def test_overlap_is_the_least_area_over_all_crossings():
    """Against scipy's integral of the densities above and below the best threshold."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.cat([torch.randn(40, generator=generator), torch.tensor([-2.5, 1.0, 2.0, 3.0])])
    anomalous = torch.arange(44) >= 40
    points = np.linspace(-12, 12, 200_001)
    density = {
        kind: stats.norm.pdf(points[:, None], scores[anomalous == kind].numpy(), scale=0.4).mean(axis=1)
        for kind in (False, True)
    }
    share = {kind: np.cumsum(each) * (points[1] - points[0]) for kind, each in density.items()}
    crossings = np.flatnonzero(np.diff(np.sign(density[True] - density[False])))
    crossings = crossings[(points[crossings] > scores.min().item()) & (points[crossings] < scores.max().item())]
    assert len(crossings) > 1
    areas = 1 - share[False][crossings] + share[True][crossings]
    assert overlap_area(scores, anomalous, bandwidth=0.4).item() == pytest.approx(areas.min(), rel=1e-3)


def test_overlap_without_known_anomalies_or_without_others_is_finite():
    for semi_of_batch in (semi(0, 0, 0), semi(-1, -1, -1)):
        method = Overlap(network=NETWORK, optimizer=ADAM, bandwidth=1.0)
        loss = method.loss(Batch(torch.eye(2)[[0, 1, 1]], semi_of_batch))
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(parameter.grad).all() for parameter in method.parameters())


def test_overlap_loss_is_of_standardised_scores():
    method = Overlap(network=NETWORK, optimizer=ADAM, bandwidth=1.0)
    with torch.no_grad():
        method.encoder[-1].weight.copy_(torch.eye(2))
        method.head[1].weight.copy_(torch.tensor([[1.0, 2.0]]))
    x = torch.tensor([[0.0, 0.0], [0.0, 8.0]])  # two scores lie a deviation from their mean: 2 apart
    assert method.loss(Batch(x, semi(0, -1))).item() == pytest.approx(2 * normal_cdf(-1), rel=1e-2)


def test_positive_unlabeled_risk_by_hand():
    as_normal, as_anomaly = torch.tensor([1.0, 3.0, 4.0, 6.0]), torch.tensor([9.0, 9.0, 0.5, 0.25])
    risk = positive_unlabeled_risk(as_normal, as_anomaly, semi(0, 1, -1, -1), 0.2)
    assert risk.item() == pytest.approx(0.2 * 0.375 + (2 - 0.2 * 5))
    risk = positive_unlabeled_risk(as_normal, as_anomaly, semi(0, 1, -1, -1), 0.6)
    assert risk.item() == pytest.approx(0.6 * 0.375 + abs(2 - 0.6 * 5))  # less than nothing is left for the normal ones
    assert positive_unlabeled_risk(as_normal, as_anomaly, semi(0, 0, 0, 0), 0.2).item() == 3.5


def test_positive_unlabeled_methods_by_hand():
    x, labels = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), semi(0, -1)
    svdd = PUSVDD(network=NETWORK, optimizer=ADAM, pollution_ratio=0.1)
    ae = PUAE(network=NETWORK, optimizer=ADAM, initial_weights="torch", pollution_ratio=0.1)
    with torch.no_grad():
        for encoder in (svdd.sphere.encoder, ae.autoencoder.encoder):
            encoder[-1].weight.copy_(torch.eye(2))
        ae.autoencoder.decoder[-1].weight.copy_(0.5 * torch.eye(2))
    assert svdd.score(x).tolist() == pytest.approx([2, 1])
    assert svdd.loss(Batch(x, labels)).item() == pytest.approx(0.1 * 1 + (4 - 0.1 * 1), rel=1e-5)
    assert ae.score(x).tolist() == pytest.approx([0.5, 0.125])
    pushed = -math.log(1 - math.exp(-0.125))
    assert ae.loss(Batch(x, labels)).item() == pytest.approx(0.1 * pushed + (0.5 - 0.1 * 0.125), rel=1e-4)
    with pytest.raises(InputError, match="pollution_ratio must be"):
        PUSVDD(network=NETWORK, optimizer=ADAM, pollution_ratio=1.0)
