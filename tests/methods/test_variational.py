"""The two bounds and the steps of the variational methods, against numbers worked out by hand."""

import itertools
import math
from dataclasses import replace

import lightning
import numpy as np
import pytest
import torch
from torch import nn

from sad_lightning.data.module import Batch, DataModule
from sad_lightning.data.preprocess import Scaling
from sad_lightning.errors import InputError
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.anomaly_steps import AnomalySteps
from sad_lightning.methods.cubo import CUBO
from sad_lightning.methods.dp_vae import DPVAE
from sad_lightning.methods.method import Method
from sad_lightning.methods.mml_dp_vae import MMLDPVAE
from sad_lightning.methods.mml_vae import MMLVAE
from sad_lightning.methods.vae import VAE
from sad_lightning.methods.variational import ELBO, Variational, gaussian_kl, reparameterize
from sad_lightning.networks import MLP
from sad_lightning.training.trainer import quiet

ADAM = Adam(lr=1e-2, milestones=[], decay=0.1, weight_decay=1e-3)
NETWORK = MLP(
    shape=(2,), widths=[], rep_dim=2, leak=0.1, bias=True, allow_trivial_solution=False, bounded=False, normalize=True
)
DEEP = replace(NETWORK, shape=(3,), widths=[5, 4])
BOUND = ELBO(beta_kl=0.5, annealing=0, samples=1, reconstruction="mean")
STEPS = AnomalySteps(interval=1, warm_up=0, clip=None, shared_encoder=True, frozen_decoder=True, settle=False)
UPPER = CUBO(gamma=1.0, beta=0.5, samples=2, beta_on="prior", objective="log")
METHODS = {
    "dp_vae": lambda network, steps: DPVAE(network=network, optimizer=ADAM, elbo=BOUND, anomalies=steps, alpha=3.0),
    "mml_vae": lambda network, steps: MMLVAE(network=network, optimizer=ADAM, elbo=BOUND, anomalies=steps, cubo=UPPER),
    "mml_dp_vae": lambda network, steps: MMLDPVAE(
        network=network, optimizer=ADAM, elbo=BOUND, anomalies=steps, alpha=3.0, cubo=UPPER
    ),
}


class Fixed(nn.Module):
    """An encoder whose mean is x and whose log-variance is a number."""

    def __init__(self, log_variance: float) -> None:
        super().__init__()
        self.log_variance = log_variance

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, torch.full_like(x, self.log_variance)], dim=1)


def vae(elbo: ELBO, log_variance: float) -> Variational:
    """The mean of q(z|x) is x, its log-variance a number, and the decoder leaves z as it is."""
    part = Variational(NETWORK, elbo)
    part.encoder, part.decoder = Fixed(log_variance), nn.Identity()
    return part


def batch(x: list[list[float]], noise: list[list[list[float]]], semi: int = 0) -> Batch:
    rows = torch.tensor(x)
    return Batch(rows, torch.full((len(rows),), semi, dtype=torch.int8), torch.tensor(noise), torch.tensor(0.0))


def test_divergence_of_gaussians_by_hand():
    mean, log_variance = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, math.log(4.0)]])
    # 1/2 (1 + 1 - 1 - 0) + 1/2 (4 + 4 - 1 - log 4), and with the prior at 3: 1/2 (1 + 4 - 1) + 1/2 (4 + 25 - 1 - log 4)
    assert gaussian_kl(mean, log_variance, 0.0).item() == pytest.approx(0.5 + (7 - math.log(4)) / 2)
    assert gaussian_kl(mean, log_variance, 3.0).item() == pytest.approx(2 + (28 - math.log(4)) / 2)
    p = torch.distributions.Normal(mean, (log_variance / 2).exp())
    q = torch.distributions.Normal(torch.full((1, 2), 3.0), 1.0)
    torch.testing.assert_close(gaussian_kl(mean, log_variance, 3.0), torch.distributions.kl_divergence(p, q).sum(dim=1))


def test_elbo_terms_alone_and_together():
    one = batch([[1.0, 2.0]], [[[1.0, -1.0]]])
    sigma = math.log(4)  # sigma 2: z = (3, 0), error (4 + 4) / 2
    divergence = (1 + 4 + 4 + 4 - 2 - 2 * math.log(4)) / 2
    assert vae(replace(BOUND, beta_kl=0.0), sigma).negative_elbo(one).item() == pytest.approx(4)
    assert vae(BOUND, sigma).negative_elbo(one).item() == pytest.approx(4 + 0.5 * divergence)
    summed = vae(replace(BOUND, reconstruction="sum"), sigma)
    assert summed.negative_elbo(one).item() == pytest.approx(8 + 0.5 * divergence)
    shifted = (4 + 4 + 0 + 1 - 2 - 2 * math.log(4)) / 2  # prior at 1
    assert vae(BOUND, sigma).negative_elbo(one, prior=1.0).item() == pytest.approx(4 + 0.5 * shifted)
    assert vae(BOUND, sigma)(one.x).item() == pytest.approx(0.5 * divergence)  # at the mean: no error
    assert vae(BOUND, sigma).divergence(one.x).item() == pytest.approx(divergence)
    assert vae(BOUND, sigma).reconstruct(one.x).tolist() == one.x.tolist()
    two = batch([[1.0, 2.0]], [[[1.0, -1.0], [0.0, 0.0]]])
    averaged = replace(BOUND, beta_kl=0.0, samples=2)
    assert vae(averaged, sigma).negative_elbo(two).item() == pytest.approx(2)
    assert vae(replace(averaged, samples=1), sigma).negative_elbo(two).item() == pytest.approx(4)


def test_the_weight_of_the_divergence_rises():
    rising = replace(BOUND, annealing=20)
    assert [rising.weight(torch.tensor(float(e))).item() for e in (0, 9, 19, 20, 100)] == pytest.approx(
        [0.025, 0.25, 0.5, 0.5, 0.5]
    )
    assert BOUND.weight(torch.tensor(0.0)).item() == 0.5


def test_cubo_exponent_by_hand_and_as_the_paper_expands_it():
    one = batch([[1.0, 2.0]], [[[1.0, -1.0], [0.5, 0.0]]])
    part = vae(BOUND, math.log(4))
    # first sample z = (3, 0): error 4, log|Sigma| = 2 log 4, noise'noise = 2, z'z = 9
    first = -2 * 4 + 0.5 * (2 * math.log(4) + 2 - 9)
    # second z = (2, 2): error 1/2, noise'noise = 1/4, z'z = 8
    second = -2 * 0.5 + 0.5 * (2 * math.log(4) + 0.25 - 8)
    assert UPPER.exponent(part, one)[0].tolist() == pytest.approx([first, second], rel=1e-5)
    whole = replace(UPPER, beta_on="whole").exponent(part, one)
    assert whole[0, 0].item() == pytest.approx(0.5 * (-2 * 4 + 2 * math.log(4) + 2 - 9), rel=1e-5)
    # equation 4 as printed, with mu_o = 0
    mean, variance = one.x.double(), torch.tensor(4.0).double()
    z = reparameterize(mean, torch.full_like(mean, math.log(4)), one.noise.double())
    error = (z - mean.unsqueeze(1)).square().mean(dim=2)
    printed = -2 * error + 0.5 * (
        2 * math.log(4) + (mean.square() / variance).sum()
        - z.square().sum(2) + (z.square() / variance).sum(2) - 2 * (z * mean.unsqueeze(1) / variance).sum(2)
    )  # fmt: skip
    torch.testing.assert_close(UPPER.exponent(part, one).double(), printed, rtol=1e-5, atol=1e-5)


def test_cubo_objectives_by_hand():
    exponent = torch.tensor([[math.log(2.0), math.log(4.0)], [0.0, 0.0]])
    assert replace(UPPER, objective="exp").loss(exponent).item() == pytest.approx((3 + 1) / 2)
    assert UPPER.loss(exponent).item() == pytest.approx(math.log(3) / 2)
    assert replace(UPPER, objective="exp", gamma=0.5).loss(exponent).item() == pytest.approx(1)
    assert replace(UPPER, gamma=0.0).loss(exponent).item() == 0


def test_a_steep_cubo_goes_on_as_its_tangent():
    exponent = torch.tensor([[39.0], [41.0], [3000.0]], requires_grad=True)
    losses = [replace(UPPER, objective="exp").loss(one.unsqueeze(0)) for one in exponent]
    assert losses[0].item() == pytest.approx(math.exp(39), rel=1e-5)
    assert losses[1].item() == pytest.approx(2 * math.exp(40), rel=1e-5)
    torch.stack(losses).sum().backward()
    assert exponent.grad.flatten().tolist() == pytest.approx([math.exp(39), math.exp(40), math.exp(40)], rel=1e-5)
    assert torch.isfinite(exponent.grad.norm())  # or clipping would make of it what is no number


@pytest.mark.parametrize(("objective", "vanishes"), [("log", False), ("exp", True)])
def test_cubo_is_finite_at_a_reconstruction_error_of_1000(objective, vanishes):
    method = MMLVAE(
        network=NETWORK, optimizer=ADAM, elbo=replace(BOUND, reconstruction="sum"), anomalies=STEPS,
        cubo=replace(UPPER, objective=objective),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.zero_()
        method.vae.encoder[-1].weight[:2].copy_(torch.eye(2))
    far = batch([[30.0, 10.0]], [[[0.1, 0.2], [0.3, -0.1]]], semi=-1)  # the decoder answers 0: error 1000
    method.vae.decoder[-1].weight.requires_grad_(False).copy_(1e-6 * torch.eye(2))
    loss = method.anomaly_loss(far)
    loss.backward()
    gradient = method.vae.encoder[-1].weight.grad
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
    assert (gradient == 0).all().item() == vanishes
    assert method.watch_anomalies(far)["cubo_exponent"] < -2000


@pytest.mark.parametrize("name", METHODS)
def test_anomalies_move_the_encoder_and_leave_the_decoder_bit_identical(name):
    torch.manual_seed(0)
    method = METHODS[name](DEEP, STEPS)
    anomalous = Batch(torch.randn(6, 3) + 4, torch.full((6,), -1, dtype=torch.int8), torch.randn(6, 2, 2))
    normal, anomaly = method.updates
    for update, moved in ((normal, True), (anomaly, False)):
        method.zero_grad()
        method.losses(update, anomalous)[0].backward()
        assert all(p.grad is not None and p.grad.any() for p in method.vae.encoder.parameters())
        assert all((p.grad is not None) == moved for p in method.vae.decoder.parameters())
    step = method.training_step
    method.training_step = lambda batches, batch_idx: step([None, batches[1]], batch_idx)  # known anomalies alone
    before = {key: value.clone() for key, value in method.state_dict().items()}
    train(method, known=8)
    for key, value in method.state_dict().items():
        still = any(word in key for word in ("decoder", "running", "tracked"))  # statistics are of normal samples
        assert torch.equal(value, before[key]) == still, key


def train(method: Method, *, known: int) -> None:
    """Ten epochs on 32 unlabeled rows and some known anomalies."""
    x = np.random.default_rng(0).normal(size=(32 + known, 3)).astype(np.float32)
    x[32:] += 4
    semi = np.repeat(np.array([0, -1], dtype=np.int8), [32, known])
    data = DataModule(
        x, Scaling(np.float32([1]), np.float32([0])), rows=np.arange(len(x)), semi=semi, scored=np.arange(len(x)),
        batch_size=16, seed=0, streams=[update.stream for update in method.updates], noise=method.noise,
    )  # fmt: skip
    trainer = lightning.Trainer(
        max_epochs=10, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    with quiet():
        trainer.fit(method, datamodule=data)


@pytest.mark.parametrize(("known", "settle"), [(8, True), (0, True), (8, False)])
@pytest.mark.parametrize("name", METHODS)
def test_statistics_settle_where_steps_on_known_anomalies_begin(name, known, settle):
    torch.manual_seed(0)
    method = METHODS[name](DEEP, replace(STEPS, warm_up=3, settle=settle))
    seen = []
    end = method.on_train_epoch_end

    def look() -> None:
        end()
        seen.append(torch.cat([value.flatten() for key, value in method.state_dict().items() if "running" in key]))

    method.on_train_epoch_end = look
    train(method, known=known)
    moved = [not torch.equal(one, other) for one, other in itertools.pairwise(seen)]
    stays = settle and known > 0  # without any they are the VAE, to its end
    assert moved == [True] * 2 + [not stays] * 7


@pytest.mark.parametrize("name", METHODS)
def test_table_5_separate_encoder_and_free_decoder(name):
    torch.manual_seed(0)
    anomalous = Batch(torch.randn(6, 3) + 4, torch.full((6,), -1, dtype=torch.int8), torch.randn(6, 2, 2))
    separate = METHODS[name](DEEP, replace(STEPS, shared_encoder=False, frozen_decoder=False))
    separate.losses(separate.updates[1], anomalous)[0].backward()
    assert all(p.grad is None for p in separate.vae.encoder.parameters())
    assert all(p.grad is not None for p in separate.vae.anomaly_encoder.parameters())
    assert all(p.grad is not None for p in separate.vae.decoder.parameters())


@pytest.mark.parametrize(("known", "warm_up"), [(0, 0), (8, 10)])
def test_without_known_anomalies_or_within_the_warm_up_all_are_the_vae(known, warm_up):
    states = []
    for make in (lambda network, steps: VAE(network=network, optimizer=ADAM, elbo=BOUND), *METHODS.values()):
        torch.manual_seed(0)
        method = make(DEEP, replace(STEPS, warm_up=warm_up))
        method.noise = (2, 2)  # the same draws for all
        train(method, known=known if len(method.updates) > 1 else 0)
        states.append(method.state_dict())
    for state in states[1:]:
        for key, value in states[0].items():
            assert torch.equal(value, state[key]), key


def test_without_a_weight_max_min_likelihood_is_the_vae():
    free = MMLVAE(network=DEEP, optimizer=ADAM, elbo=BOUND, anomalies=STEPS, cubo=replace(UPPER, gamma=0.0))
    assert [update.loss for update in free.updates] == [free.loss]
    unweighted = replace(UPPER, beta=0.0).exponent(vae(BOUND, 0.0), batch([[1.0, 2.0]], [[[1.0, -1.0], [2.0, 0.0]]]))
    assert unweighted[0].tolist() == pytest.approx([-2, -4])  # the reconstruction alone


def test_limits_of_the_joint_method():
    torch.manual_seed(0)
    anomalous = Batch(torch.randn(6, 3) + 4, torch.full((6,), -1, dtype=torch.int8), torch.randn(6, 2, 2))
    torch.manual_seed(1)
    both = MMLDPVAE(
        network=DEEP, optimizer=ADAM, elbo=BOUND, anomalies=STEPS, alpha=3.0, cubo=replace(UPPER, gamma=0.0)
    )
    torch.manual_seed(1)
    dual = METHODS["dp_vae"](DEEP, STEPS)
    assert both.eval().anomaly_loss(anomalous).item() == dual.eval().anomaly_loss(anomalous).item()
    torch.manual_seed(1)
    flat = DPVAE(network=DEEP, optimizer=ADAM, elbo=BOUND, anomalies=STEPS, alpha=0.0).eval()
    assert flat.anomaly_loss(anomalous).item() == flat.loss(anomalous).item()  # one prior for all
    torch.manual_seed(1)
    full = METHODS["mml_dp_vae"](DEEP, STEPS).eval()
    torch.manual_seed(1)
    upper = METHODS["mml_vae"](DEEP, STEPS).eval()
    expected = dual.anomaly_loss(anomalous) + upper.anomaly_loss(anomalous)
    assert full.anomaly_loss(anomalous).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_bounds_are_taken_in_float32(dtype):
    class Half(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, torch.zeros_like(x)], dim=1).to(dtype)

    one = batch([[300.0, 300.0]], [[[0.0, 0.0]]])
    part = vae(BOUND, 0.0)
    part.encoder = Half()
    value = part.negative_elbo(one)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(0.5 * 90_000)  # squares overflow float16


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (BOUND, {"beta_kl": -1.0}, "elbo.beta_kl"), (BOUND, {"reconstruction": "max"}, "one of mean, sum"),
        (UPPER, {"objective": "square"}, "one of exp, log"), (UPPER, {"beta_on": "all"}, "one of prior, whole"),
        (STEPS, {"interval": 0}, "anomalies.interval"), (STEPS, {"clip": 0.0}, "anomalies.clip"),
        (STEPS, {"shared_encoder": 1}, "true or false"),
    ],
)  # fmt: skip
def test_settings_are_checked(kind, change, message):
    with pytest.raises(InputError, match=message):
        replace(kind, **change)
