"""Networks of sentences: the likelihood by hand, what the decoder sees, and variational methods on them."""

import gzip
import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import cross_entropy

from sad_lightning.data.module import Batch
from sad_lightning.data.words import BEGIN, END, MARKS, PAD, UNKNOWN
from sad_lightning.errors import InputError
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.ae import AE
from sad_lightning.methods.anomaly_steps import AnomalySteps
from sad_lightning.methods.cubo import CUBO
from sad_lightning.methods.dp_vae import DPVAE
from sad_lightning.methods.mml_vae import MMLVAE
from sad_lightning.methods.ss_dgm import SSDGM
from sad_lightning.methods.vae import VAE
from sad_lightning.methods.variational import ELBO
from sad_lightning.networks import MLP, Network, Sentence

A, B, C = (MARKS + k for k in range(3))
SETTINGS = {"shape": (6,), "vocabulary": "a b c", "rare": 0, "embedding": 5, "width": 7, "rep_dim": 4,
            "word_dropout": 0.5, "vectors": None, "seen": 1, "words": 10, "bias": True,
            "allow_trivial_solution": True}  # fmt: skip
ADAM = Adam(lr=1e-2, milestones=[], decay=0.1, weight_decay=0.0)
BOUND = ELBO(beta_kl=0.1, annealing=0, samples=2, reconstruction="mean")
STEPS = AnomalySteps(
    interval=1, warm_up=0, clip=None, shared_encoder=True, frozen_decoder=True, settle=False
)  # fmt: skip
UPPER = CUBO(gamma=1.0, beta=0.05, samples=3, beta_on="prior", objective="log")
X = torch.tensor(
    [[BEGIN, A, B, END, PAD, PAD], [BEGIN, C, C, A, UNKNOWN, END], [BEGIN, END, PAD, PAD, PAD, PAD]]
).float()


@pytest.fixture
def network() -> Sentence:
    torch.manual_seed(0)
    return Sentence(**SETTINGS)


def errors(network: Sentence, decoder: torch.nn.Module, x: torch.Tensor, reduction: str = "sum", drop=None):
    z = torch.linspace(-1, 1, 4).expand(len(x), 4)
    with torch.no_grad():
        return network.error(decoder, z, x, reduction=reduction, drop=drop)


def test_the_likelihood_of_words_by_hand(network):
    """With logits that depend on nothing: log 1, 2, 3, 4, 5, 6, 7 of 28."""
    decoder = network.decoder()
    with torch.no_grad():
        decoder.logits.weight.zero_()
        decoder.logits.bias.copy_(torch.arange(1.0, 8).log())
    probability = {word: (word + 1) / 28 for word in range(7)}
    sentences = ([A, B, END], [C, C, A, UNKNOWN, END], [END])  # padding does not count
    expected = [-sum(math.log(probability[word]) for word in words) for words in sentences]
    assert errors(network, decoder, X).tolist() == pytest.approx(expected, rel=1e-5)
    means = [total / len(words) for total, words in zip(expected, sentences, strict=True)]
    assert errors(network, decoder, X, "mean").tolist() == pytest.approx(means, rel=1e-5)


def test_rare_words_share_the_probability_of_the_unknown_one(network):
    """The second sentence has one unknown word, of ten."""
    decoder, shared = network.decoder(), Sentence(**{**SETTINGS, "rare": 10})
    before = errors(network, decoder, X)
    expected = before + torch.tensor([0, math.log(10), 0])
    torch.testing.assert_close(errors(shared, decoder, X), expected)
    torch.testing.assert_close(errors(shared, decoder, X, "mean"), expected / torch.tensor([3, 5, 1]))


def test_many_words_are_the_sum_of_few(network, monkeypatch):
    decoder = network.decoder()
    together = errors(network, decoder, X)
    monkeypatch.setattr("sad_lightning.networks.sentence._AT_ONCE", 2)
    torch.testing.assert_close(errors(network, decoder, X), together)


def test_the_decoder_never_sees_the_word_that_it_predicts(network):
    """The probabilities of all words that may come add up to one, whatever comes: the first of these, and the last."""
    decoder = network.decoder()
    with torch.no_grad():
        decoder.logits.bias[PAD] = -1e9  # which is never counted
    for before in ([BEGIN], [BEGIN, A, C, B, B]):
        rows = torch.tensor([[*before, word] for word in range(1, 7)]).float()
        known = errors(network, decoder, torch.tensor([before]).float()) if len(before) > 1 else 0
        assert (known - errors(network, decoder, rows)).exp().sum().item() == pytest.approx(1, rel=1e-5)
    order = torch.tensor([[BEGIN, A, B, END], [BEGIN, B, A, END]]).float()
    assert len(set(errors(network, decoder, order).tolist())) == 2  # and it does see those before


def test_the_code_is_read_at_every_step(network):
    decoder, read = network.decoder(), X[:, :-1].long()
    z = torch.zeros(3, 4, requires_grad=True)
    for step in range(5):
        (gradient,) = torch.autograd.grad(decoder(z, read)[:, step].sum(), z)
        assert gradient.abs().min() > 0


def test_padding_changes_neither_code_nor_likelihood(network):
    encoder, decoder = network.encoder(heads=2), network.decoder()
    longer = torch.cat([X, torch.full((3, 3), float(PAD))], dim=1)
    assert encoder(X).shape == (3, 8)
    torch.testing.assert_close(encoder(longer), encoder(X))
    torch.testing.assert_close(errors(network, decoder, longer), errors(network, decoder, X))
    assert network.encoder()(X).shape == (3, 4)


def test_word_dropout_replaces_what_the_decoder_reads(network):
    decoder = network.decoder()
    assert network.noise == 4 + 4
    noise = torch.tensor([[-1.0, 1.0, -1.0, 1.0], [1.0, -1.0, 1.0, 1.0], [9.0] * 4])  # below zero: dropped, at .5
    read = torch.tensor([[BEGIN, UNKNOWN, B, UNKNOWN, PAD], [BEGIN, C, UNKNOWN, A, UNKNOWN], [BEGIN, END, 0, 0, 0]])
    target = X[:, 1:].long()
    with torch.no_grad():
        logits = decoder.logits(decoder(torch.linspace(-1, 1, 4).expand(3, 4), read))
    each = cross_entropy(logits.movedim(1, 2), target, reduction="none")
    expected = torch.where(target == PAD, 0, each).sum(dim=1)
    torch.testing.assert_close(errors(network, decoder, X, drop=noise), expected)
    torch.testing.assert_close(errors(network, decoder, X, drop=noise + 99), errors(network, decoder, X))
    rarely = Sentence(**{**SETTINGS, "word_dropout": 0.1})  # a normal is below -1.2816 with probability .1
    for value, dropped in ((-1.28, False), (-1.29, True)):
        now, never = errors(rarely, decoder, X, drop=torch.full((3, 4), value)), errors(rarely, decoder, X)
        assert torch.equal(now, never) != dropped
    assert Sentence(**{**SETTINGS, "word_dropout": 0.0}).noise == 4


def batch_of(x: torch.Tensor, noise: tuple[int, ...]) -> Batch:
    drawn = torch.randn(len(x), *noise, generator=torch.Generator().manual_seed(0))
    return Batch(x, torch.zeros(len(x), dtype=torch.int8), drawn, torch.tensor(9.0))


def test_the_bound_and_its_noise(network):
    vae = VAE(elbo=BOUND, network=network, optimizer=ADAM)
    assert vae.noise == (2, 8)
    batch = batch_of(X, vae.noise)
    mean, log_variance = vae.vae.encoder(X).chunk(2, dim=1)
    expected = 0.05 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(dim=1)
    for sample in range(2):
        z = mean + (0.5 * log_variance).exp() * batch.noise[:, sample, :4]
        drop = batch.noise[:, sample, 4:]
        expected = expected + 0.5 * network.error(vae.vae.decoder, z, X, reduction="mean", drop=drop)
    torch.testing.assert_close(vae.loss(batch), expected.mean())
    at_mean = network.error(vae.vae.decoder, mean, X, reduction="mean", drop=None)  # a score drops nothing
    divergence = 0.05 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(dim=1)
    torch.testing.assert_close(vae.score(X), at_mean + divergence)


def test_the_bound_from_above_keeps_a_gradient(network):
    """A sentence of 60 nats: exp(-120) is zero in float32, a mean over its words and 2 CUBO itself are not."""
    long = torch.tensor([[BEGIN, *(A, B, C) * 10, END]]).float()
    shape = Sentence(**{**SETTINGS, "shape": (32,)})
    by_objective = {}
    for reduction, objective in (("sum", "exp"), ("mean", "exp"), ("sum", "log")):
        torch.manual_seed(0)
        method = MMLVAE(
            elbo=ELBO(beta_kl=1.0, annealing=0, samples=1, reconstruction=reduction), anomalies=STEPS,
            cubo=CUBO(gamma=1.0, beta=0.05, samples=3, beta_on="prior", objective=objective),
            network=shape, optimizer=ADAM,
        )  # fmt: skip
        assert method.noise == (3, 4 + 30)
        method.anomaly_loss(batch_of(long, method.noise)).backward()
        by_objective[reduction, objective] = method.vae.encoder.linear.weight.grad.abs().max().item()
    assert by_objective["sum", "exp"] < 1e-30
    assert by_objective["mean", "exp"] > 1e-6
    assert by_objective["sum", "log"] > 1e-3


def test_annealing_rises_as_a_sigmoid():
    bound = ELBO(beta_kl=2.0, annealing=10, samples=1, reconstruction="mean", rise="sigmoid")
    weights = [float(bound.weight(torch.tensor(float(epoch)))) for epoch in (0, 4, 6, 9, 30)]
    by_hand = [2 / (1 + math.exp(4)), 1, 2 / (1 + math.exp(-2)), 2, 2]
    assert weights == pytest.approx(by_hand, rel=1e-5)
    with pytest.raises(InputError, match=r"method\.elbo\.rise must be one of linear, sigmoid"):
        ELBO(beta_kl=2.0, annealing=10, samples=1, reconstruction="mean", rise="step")


def test_max_min_and_dual_priors_start_from_a_pretrained_autoencoder(network):
    pretrained = VAE(elbo=BOUND, network=network, optimizer=ADAM)
    apart = AnomalySteps(
        interval=1, warm_up=0, clip=None, shared_encoder=False, frozen_decoder=True, settle=False
    )  # fmt: skip
    dual = DPVAE(elbo=BOUND, anomalies=apart, alpha=2.0, network=network, optimizer=ADAM)
    max_min = MMLVAE(elbo=BOUND, anomalies=STEPS, cubo=UPPER, network=network, optimizer=ADAM)
    for method in (dual, max_min):
        assert not torch.equal(method.score(X), pretrained.score(X))
        method.start_from(pretrained)
        assert torch.equal(method.score(X), pretrained.score(X))
    assert torch.equal(dual.vae.anomaly_encoder(X), pretrained.vae.encoder(X))
    other = Sentence(**{**SETTINGS, "width": 8})
    for wrong in (VAE(elbo=BOUND, network=other, optimizer=ADAM), SimpleNamespace(named_modules=list)):
        with pytest.raises(InputError, match="must train a variational autoencoder of the network of the method"):
            max_min.start_from(wrong)


def test_max_min_lowers_the_likelihood_of_known_anomalies_alone(network):
    method = MMLVAE(elbo=BOUND, anomalies=STEPS, cubo=UPPER, network=network, optimizer=ADAM)
    normal, odd = X[:1].repeat(8, 1), X[1:2].repeat(8, 1)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2)
    first, second = method.updates
    assert (first.stream.trains_on, second.stream.trains_on) == ({0, 1}, {-1})
    decoder = {name: value.clone() for name, value in method.vae.decoder.state_dict().items()}
    for _ in range(60):
        for update, x in ((first, normal), (second, odd)):
            optimizer.zero_grad()
            loss, _ = method.losses(update, batch_of(x, method.noise))
            loss.backward()
            if update is second:
                assert all(value.grad is None for value in method.vae.decoder.parameters())
            optimizer.step()
    assert not torch.equal(decoder["logits.weight"], method.vae.decoder.logits.weight)
    with torch.no_grad():
        assert method.score(odd)[0] > method.score(normal)[0] + 1


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz"])
def test_embeddings_start_from_vectors(name, tmp_path):
    content = "b 1 2 3 4 5\nother 0 0\na .1 -.2 .3 -.4 .5\n"
    (tmp_path / name).write_bytes(gzip.compress(content.encode()) if name.endswith("gz") else content.encode())
    network = Sentence(**{**SETTINGS, "vectors": str(tmp_path / name)})
    for part in (network.encoder(), network.decoder()):
        weight = part.embedding.weight
        torch.testing.assert_close(weight[[A, B]], torch.tensor([[0.1, -0.2, 0.3, -0.4, 0.5], [1, 2, 3, 4, 5]]))
        assert 0 < weight[C].abs().max() < 1  # no vector: noise
        assert not weight[PAD].any()
    (tmp_path / name).unlink()
    again = Network.build(network.recipe())  # as a model file does, elsewhere
    assert again == Sentence(**SETTINGS)


VECTORS = {
    "not there": (None, "reading it fails"),
    "another size": (b"a 1 2 3\n", "'a' has 3; set network.embedding=3"),
    "no word": (b"x 1 2 3 4 5\n", "has none of the 3 words"),
    "no numbers": (b"a 1 2 3 4 e\n", "reading it fails"),
    "no text": (b"a \xff\xfe", "reading it fails"),
}


@pytest.mark.parametrize("mistake", VECTORS)
def test_vectors_that_can_not_be_read(mistake, tmp_path):
    content, words = VECTORS[mistake]
    if content is not None:
        (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(InputError) as raised:
        Sentence(**{**SETTINGS, "vectors": str(tmp_path / "v.txt")}).encoder()
    assert str(raised.value).startswith("network.vectors=")
    assert words in str(raised.value)


def test_what_compares_values_refuses_words(network):
    with pytest.raises(InputError, match="reads words, which a squared error of reconstruction does not compare"):
        AE(network=network, optimizer=ADAM, initial_weights="torch")
    with pytest.raises(InputError, match="choose method=dp_vae"):
        SSDGM(stacked=False, widths=None, alpha=0.1, initial_weights="torch", network=network, optimizer=ADAM)
    with pytest.raises(InputError, match="no reconstruction"):
        VAE(elbo=BOUND, network=network, optimizer=ADAM).vae.reconstruct(X)
    for changes, words in (({"shape": (1, 8, 8)}, "needs rows"), ({"word_dropout": 1.0}, "network.word_dropout"),
                           ({"width": 0}, "network.width"), ({"embedding": 0}, "network.embedding")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            Sentence(**{**SETTINGS, **changes})


def test_other_networks_need_no_more_noise_and_drop_nothing():
    mlp = MLP(shape=(9,), widths=[8], rep_dim=4, leak=0.1, bias=True, allow_trivial_solution=False, bounded=False,
              normalize=False)  # fmt: skip
    decoder, z, x = mlp.decoder(), torch.randn(3, 4), torch.randn(3, 9)
    assert mlp.noise == 4
    squares = (decoder(z) - x).square()
    assert torch.equal(mlp.error(decoder, z, x, reduction="mean", drop=None), squares.mean(dim=1))
    assert torch.equal(mlp.error(decoder, z, x, reduction="sum", drop=None), squares.sum(dim=1))
