"""The figures that explain: their numbers against quadrature, and what they claim."""

import sys

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from sad_lightning.illustrate.__main__ import main
from sad_lightning.illustrate.cubo import cubo_figure, estimate_two_cubo, two_cubo
from sad_lightning.illustrate.latent import latent_figure
from sad_lightning.illustrate.paradigms import draw_toy, fit_paradigms, paradigms_figure


@pytest.mark.parametrize("beta", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("variance", [0.6, 1.0, 2.0])
@pytest.mark.parametrize("mu", [0.0, 0.7])
def test_the_bound_is_the_integral(beta, variance, mu):
    q = norm(mu, np.sqrt(variance))
    integral, _ = quad(lambda z: np.exp(2 * beta * norm.logpdf(z) + (1 - 2 * beta) * q.logpdf(z)), -30, 30, limit=400)
    assert two_cubo(mu, variance, beta) == pytest.approx(np.log(integral), abs=1e-6)


def test_the_bound_is_infinite_where_its_integral_diverges():
    assert np.isinf(two_cubo([0.0, 1.0], 0.5, 1.0)).all()
    assert np.isfinite(two_cubo([0.0, 1.0], 0.01, 0.5)).all()


def test_many_samples_estimate_the_bound_and_few_fall_away_from_the_prior():
    mu = np.array([0.0, 1.0, 3.0])
    assert estimate_two_cubo(mu, 1.0, 0.05, 20_000, 2) == pytest.approx(two_cubo(mu, 1.0, 0.05), abs=4e-3)
    exact, few = two_cubo(mu, 1.0, 1.0), estimate_two_cubo(mu, 1.0, 1.0, 4, 2000)
    assert exact[0] < exact[1] < exact[2]  # least at the prior
    assert few[2] < few[0] - 1  # the opposite, as daniel2021 draws it
    assert (np.diff(two_cubo(mu, 1.0, 0.05)) < 0).all()


def test_only_detectors_flag_what_is_novel_and_labels_make_normals_safer():
    toy = draw_toy(0)
    flags = [(float(way.flags(toy.normal).mean()), float(way.flags(toy.novel).mean())) for way in fit_paradigms(toy)]
    one_class, classifier, spreading, _, detector = flags
    assert one_class[1] > 0.9
    assert detector[1] > 0.9
    assert max(classifier[1], spreading[1]) < 0.1
    assert detector[0] < one_class[0] <= 0.2


def test_figures_are_drawn(tmp_path, monkeypatch, capsys):
    for figure in (paradigms_figure(), cubo_figure()):
        assert figure.file().startswith("<svg")
        assert "nan" not in figure.svg
        assert "inf" not in figure.svg
    figure = latent_figure("digits", "trainer.max_epochs=2", "optimizer.milestones=[1]")
    assert "t-SNE" in figure.caption
    assert figure.svg.count('class="faint') > 300
    monkeypatch.setattr(sys, "argv", ["illustrate", "cubo", "--out", str(tmp_path)])
    main()
    assert capsys.readouterr().out.strip() == str(tmp_path / "cubo.svg")
    for wrong in (["else"], ["latent", "--data", "nope"]):
        monkeypatch.setattr(sys, "argv", ["illustrate", *wrong, "--out", str(tmp_path / "not made")])
        with pytest.raises(SystemExit, match="2"):
            main()
    assert not (tmp_path / "not made").exists()
