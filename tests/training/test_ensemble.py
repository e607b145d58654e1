"""The mean of an ensemble, by hand."""

import pytest
import torch
from support.methods import METHODS

from sad_lightning.cell.prepare import prepare_cell
from sad_lightning.cell.values import Cell
from sad_lightning.errors import InputError
from sad_lightning.methods import HSC
from sad_lightning.training.ensemble import Ensemble


def test_the_mean_is_arithmetic_or_geometric(make):
    members = [make("hsc", "table", seed).eval() for seed in range(2)]
    x = torch.randn(5, 9)
    with torch.no_grad():
        first, second = (member.score(x) for member in members)
        torch.testing.assert_close(Ensemble(members).score(x), (first + second) / 2)
        torch.testing.assert_close(Ensemble(members, "geometric").score(x), (first * second).sqrt())
    again = Ensemble(**Ensemble(members, "geometric").hparams).eval()
    again.load_state_dict(Ensemble(members, "geometric").state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again.score(x), (first * second).sqrt())
    with pytest.raises(InputError, match=r"ensemble_mean must be one of arithmetic, geometric, got 'median'"):
        Ensemble(members, "median")


class Mine(HSC):
    """A method of one's own that is like another."""


def test_members_of_a_method_that_is_like_another_are_found(make):
    members = [Mine(**make("hsc", "table").hparams)]
    assert isinstance(Ensemble(**Ensemble(members).hparams).members[0], Mine)
    namesake = type("HSC", (HSC,), {})  # of one's own
    assert type(Ensemble(**Ensemble([make("hsc", "table")]).hparams).members[0]) is HSC
    assert namesake.__name__ == "HSC"


def test_a_geometric_mean_is_for_distances_alone(settings, tmp_path):
    cfg = settings("method=vae", "ensemble_mean=geometric", "ensemble=2")
    with pytest.raises(InputError, match=r"ensemble_mean=geometric is for .* of method=vae are none"):
        prepare_cell(Cell(cfg, tmp_path, "digits", "vae"), live=False)


@pytest.mark.parametrize("name", METHODS)
def test_methods_whose_scores_are_distances_never_score_below_zero(name, make):
    method = make(name, "table").eval()
    if not method.scores_are_distances:
        assert name not in ("deep_sad", "deep_svdd", "hsc", "ae", "sae")
        return
    with torch.no_grad():
        assert float(method.score(torch.randn(200, 9) * 3).min()) >= 0
