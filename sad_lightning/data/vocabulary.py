"""The vocabulary of a cell: the words of its training rows that are not known anomalies, as scaling is fitted on these.

A data set of texts numbers all its words, and this renumbers them: by how often they stand in the training rows, the
most frequent first. All others are one unknown word, so that the network learns how likely any rare word is; how many
there are is kept, for each of them is less likely than all together.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import whole_number
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.schema import TextSchema
from sad_lightning.data.split import Split
from sad_lightning.data.words import MARKS, UNKNOWN
from sad_lightning.errors import InputError


def with_vocabulary(arrays: Arrays, split: Split, *, seen: int, words: int) -> Arrays:
    """The data set with the vocabulary of the training rows: at most so many words, each seen that often or more.

    Raises:
        InputError: a setting is out of range, or no word stands there so often.
    """
    whole_number("network.seen", seen)
    whole_number("network.words", words)
    assert isinstance(arrays.schema, TextSchema)
    old = arrays.schema.words
    numbers = arrays.x.astype(np.int64)
    counts = np.bincount(numbers[split.train[split.semi >= 0]].ravel(), minlength=MARKS + len(old))[MARKS:]
    order = sorted(np.flatnonzero(counts >= seen).tolist(), key=lambda k: (-counts[k], old[k]))[:words]
    if not order:
        raise InputError(
            f"network.seen must be so small that a word stands so often in the training rows, got {seen}, and the most "
            f"frequent of them stands there {counts.max(initial=0)} times; lower it"
        )
    chosen = renumbered(arrays, [old[k] for k in order])
    assert isinstance(chosen.schema, TextSchema)
    return replace(chosen, schema=replace(chosen.schema, rare=int((counts > 0).sum()) - len(order)))


def renumbered(arrays: Arrays, words: Sequence[str]) -> Arrays:
    """A data set of texts with another vocabulary."""
    assert isinstance(arrays.schema, TextSchema)
    x = renumber(arrays.x, arrays.schema, words)
    return replace(arrays, x=x, schema=replace(arrays.schema, words=tuple(words)))


def renumber(x: NDArray[Any], schema: TextSchema, words: Sequence[str]) -> NDArray[np.float32]:
    """Raw rows of a schema as those of another vocabulary, ``(N, T)``; words that it lacks are unknown."""
    number = {word: k for k, word in enumerate(words, start=MARKS)}
    new = np.array([*range(MARKS), *(number.get(word, UNKNOWN) for word in schema.words)], dtype=np.float32)
    rows: NDArray[np.float32] = new[x.astype(np.int64)]
    return rows
