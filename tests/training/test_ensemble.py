"""The mean of an ensemble, by hand."""

import pytest
import torch

from sad_lightning.errors import InputError
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
    with pytest.raises(InputError, match="ensemble_mean must be one of arithmetic, geometric, got 'median'"):
        Ensemble(members, "median")
