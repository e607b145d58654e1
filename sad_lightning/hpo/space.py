"""The space of a search, from overrides as they are typed: each override that is a sweep is one axis."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from sad_lightning.config.options import CONF
from sad_lightning.errors import InputError, error_words

if TYPE_CHECKING:
    from optuna import Trial


class SearchAxis(NamedTuple):
    """One setting that varies.

    Attributes:
        values: those that are composed before the search, to find mistakes: all choices of a group, or one value.
        suggest: draws a value for a trial.
    """

    values: Sequence[Any]
    suggest: Callable[["Trial"], Any]


def parse_space(typed: Sequence[str]) -> tuple[list[str], dict[str, SearchAxis]]:
    """The fixed overrides, and the axes of the space by the keys of their settings.

    Raises:
        InputError: an override can not be read, an axis is empty or would change the rows that judge, or there is none.
    """
    try:
        overrides = OverridesParser.create().parse_overrides(list(typed))
    except HydraException as error:
        raise InputError(f"{error_words(error)}; quote what the shell would read") from error
    fixed = [text for text, override in zip(typed, overrides, strict=True) if not override.is_sweep_override()]
    axes = {each.get_key_element(): _axis(each) for each in overrides if each.is_sweep_override()}
    if not axes:
        raise InputError(
            "a search needs a setting to vary, and none is; for example 'method.eta=tag(log,interval(0.1,10))' or "
            "'network.rep_dim=choice(4,8,16)'"
        )
    for key in axes:
        if key.lstrip("+").split(".")[0] in ("data", "split", "seed", "target_fpr"):
            raise InputError(f"{key} must not vary: the rows and labels that judge a setting would vary with it")
    return fixed, axes


def corners(axes: dict[str, SearchAxis]) -> Iterator[list[str]]:
    """Points that together hold all ``values`` of every axis."""
    start = {key: axis.values[0] for key, axis in axes.items()}
    for key, axis in axes.items():
        for value in axis.values:
            yield [f"{name}={chosen}" for name, chosen in {**start, key: value}.items()]


def _axis(override: Override) -> SearchAxis:
    name, value, line = override.get_key_element(), override.value(), override.input_line
    if isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        if low is None or high is None or not -math.inf < low <= high < math.inf:
            raise InputError(
                f"{line}: must go up to a number, got {low} to {high}; for example {name}=interval(0.1,10)"
            )
        if log and low <= 0:
            raise InputError(f"{line}: log must begin above 0, got {low}; for example {name}=tag(log,interval(0.1,10))")
        if isinstance(low, int) and isinstance(high, int):
            return SearchAxis([low], lambda trial: trial.suggest_int(name, low, high, log=log))
        return SearchAxis([low], lambda trial: trial.suggest_float(name, low, high, log=log))
    if isinstance(value, RangeSweep):
        start, stop, step = value.start or 0, value.stop or 0, value.step
        if not -math.inf < start < stop < math.inf or not step > 0:
            raise InputError(
                f"{line}: must go up by a step above 0, got {start} to {stop} by {step}; for example {name}=range(2,9)"
            )
        if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
            last = range(start, stop, step)[-1]
            return SearchAxis([start], lambda trial: trial.suggest_int(name, start, last, step=step))
    elif not isinstance(value, ChoiceSweep):
        raise InputError(f"{line}: a search needs its choices by name; for example {name}=choice(a,b)")
    options = list(override.sweep_string_iterator())
    is_group = (CONF / override.key_or_group).is_dir()
    return SearchAxis(options if is_group else options[:1], lambda trial: trial.suggest_categorical(name, options))
