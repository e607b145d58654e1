"""LSTM networks for sentences (Bowman et al. 2016, which daniel2021 appendix H follows).

A row holds the numbers of begin, the words, end and padding (``data.words``). The encoder reads the embedded words, and
a linear layer turns the output at the end into the code. The decoder reads at each step the code and the word before,
and a linear layer and a softmax give the probability of the word that comes. In training each word that the decoder
reads is replaced by the unknown one with a probability, so that it must ask the code (word dropout).

    L_R(x) = - sum over t  log p(word t | words before t, z)        up to and with the end; padding does not count

Words that are rare in the training rows are one unknown word, of whose probability each has an equal part: else unknown
words would be likely, and a sentence of new words more normal than others.
``mean`` divides by the number of these words, so that exp(-2 L_R) of CUBO does not underflow and long sentences are no
anomalies. The papers give no sizes. Recurrent layers can not be stacked in a population: the network trains alone.
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sad_lightning.checks import fraction, path_of, whole_number
from sad_lightning.data.words import MARKS, PAD, UNKNOWN
from sad_lightning.errors import InputError, error_words
from sad_lightning.networks.network import Network

_AT_ONCE = 4096  # words whose logits of the whole vocabulary are in memory
_SPREAD = 0.1  # of the numbers of a word that no file has


@dataclass(frozen=True, kw_only=True)
class Sentence(Network):
    """An LSTM for rows ``(T,)`` of numbers of words.

    Attributes:
        vocabulary: the words, with a space between; filled in from the training rows.
        rare: how many words of the training rows are not among them; filled in likewise.
        embedding: numbers of a word.
        width: units of the LSTM, in the encoder and in the decoder.
        word_dropout: the probability with which the decoder reads an unknown word instead, in training.
        vectors: a file of word vectors that the embeddings start from, a word and ``embedding`` numbers a line, with
            spaces between, as GloVe has them; None starts all from noise.
        seen: how often a word stands in the training rows at least, to be in the vocabulary.
        words: the most words of the vocabulary.
    """

    squares: ClassVar[bool] = False
    vocabulary: str
    rare: int
    embedding: int
    width: int
    word_dropout: float
    vectors: str | None
    seen: int
    words: int

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("network.rare", self.rare, least=0)
        whole_number("network.embedding", self.embedding)
        whole_number("network.width", self.width)
        fraction("network.word_dropout", self.word_dropout)
        if len(self.shape) != 1:
            raise InputError(
                f"network: Sentence needs rows (T,) of words, the data has {self.shape}; network=lenet is for images"
            )

    @property
    def noise(self) -> int:
        """Those of the code, and one for each word that the decoder reads after the beginning."""
        return self.rep_dim + (self.shape[0] - 2 if self.word_dropout else 0)

    def encoder(self, heads: int = 1) -> nn.Module:
        """``(B, T)`` to ``(B, heads * D)``."""
        return _Encoder(self._embedding(), self.width, heads * self.rep_dim, self.bias)

    def decoder(self) -> nn.Module:
        """``(B, D)`` and the words before, ``(B, T - 1)``, to outputs that its ``logits`` turns into those of words."""
        return _Decoder(self._embedding(), self.rep_dim, self.width, self.bias)

    def rebuild(self, decoder: nn.Module, z: Tensor, x: Tensor) -> Tensor:
        """Refused: words have no reconstruction that is compared with them."""
        raise InputError("network: Sentence gives probabilities of words and no reconstruction; choose another")

    def error(self, decoder: nn.Module, z: Tensor, x: Tensor, *, reduction: str, drop: Tensor | None) -> Tensor:
        """The negative log-likelihood of the words of each row, ``(B,)``, a mean or a sum over them."""
        numbers = x.long()
        read, target = numbers[:, :-1], numbers[:, 1:]
        if drop is not None and self.word_dropout:
            dropped = drop < NormalDist().inv_cdf(self.word_dropout)
            after = torch.where(dropped, UNKNOWN, read[:, 1:])
            read = torch.cat([read[:, :1], after], dim=1)
        counts = target != PAD
        outputs, words = decoder(z, read)[counts], target[counts]  # (n, width) and (n,), of all rows
        parts = zip(torch.split(outputs, _AT_ONCE), torch.split(words, _AT_ONCE), strict=True)
        logits = decoder.get_submodule("logits")
        each = torch.cat([cross_entropy(logits(part).float(), own, reduction="none") for part, own in parts])
        each = each + torch.where(words == UNKNOWN, math.log(max(self.rare, 1)), 0.0)
        surprise = each.new_zeros(counts.shape).masked_scatter(counts, each).sum(dim=1)
        return surprise / counts.sum(dim=1) if reduction == "mean" else surprise

    def recipe(self) -> dict[str, Any]:
        """The settings as plain data; the vectors are in the weights by then."""
        return {**super().recipe(), "vectors": None}

    def _embedding(self) -> nn.Embedding:
        """The embedding of the vocabulary, at its start."""
        layer = nn.Embedding(MARKS + len(self.vocabulary.split()), self.embedding, padding_idx=PAD)
        with torch.no_grad():
            layer.weight.mul_(_SPREAD)
            if self.vectors is not None:
                path = path_of("network.vectors", self.vectors)
                changed = path.stat().st_mtime_ns if path.is_file() else 0
                numbers, vectors = _read_vectors(path, changed, self.vocabulary, self.embedding)
                layer.weight[numbers] = vectors
        return layer


class _Encoder(nn.Module):
    def __init__(self, embedding: nn.Embedding, width: int, units: int, bias: bool) -> None:
        super().__init__()
        self.embedding = embedding
        self.lstm = nn.LSTM(embedding.embedding_dim, width, bias=bias, batch_first=True)
        self.linear = nn.Linear(width, units, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        numbers = x.long()
        outputs, _ = self.lstm(self.embedding(numbers))  # (B, T, width)
        end = (numbers != PAD).sum(dim=1) - 1  # what follows is padding, which no output before it has seen
        at_end = outputs.gather(1, end.view(-1, 1, 1).expand(-1, 1, outputs.shape[2])).squeeze(1)
        return self.linear(at_end)  # type: ignore[no-any-return]


class _Decoder(nn.Module):
    def __init__(self, embedding: nn.Embedding, units: int, width: int, bias: bool) -> None:
        super().__init__()
        self.embedding = embedding
        self.lstm = nn.LSTM(embedding.embedding_dim + units, width, bias=bias, batch_first=True)
        self.logits = nn.Linear(width, embedding.num_embeddings, bias=bias)

    def forward(self, z: Tensor, read: Tensor) -> Tensor:
        codes = z.unsqueeze(1).expand(-1, read.shape[1], -1)
        outputs, _ = self.lstm(torch.cat([self.embedding(read), codes], dim=2))
        return outputs  # type: ignore[no-any-return]


@lru_cache(maxsize=1)  # encoder and decoder of all members start from the same
def _read_vectors(path: Path, changed: int, vocabulary: str, size: int) -> tuple[Tensor, Tensor]:
    """The numbers of those words that a file has vectors of, ``(n,)``, and their vectors, ``(n, size)``.

    Raises:
        InputError: the file is not there, is no text, has vectors of another size, or none of these words.
    """
    number = {word: k for k, word in enumerate(vocabulary.split(), start=MARKS)}
    vectors: dict[int, list[float]] = {}
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as file:
            for line in file:
                word, *values = line.rstrip().split(" ")
                if word not in number:
                    continue
                if len(values) != size:
                    raise InputError(
                        f"network.vectors={path}: must hold network.embedding={size} numbers a word, {word!r} has "
                        f"{len(values)}; set network.embedding={len(values)}"
                    )
                vectors[number[word]] = [float(value) for value in values]
    except (OSError, EOFError, ValueError, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        reason = error_words(error)
        raise InputError(
            f"network.vectors={path}: must be a text of a word and its numbers a line, but reading it fails "
            f"({reason}); give the file of GloVe as it is unpacked"
        ) from error
    if not vectors:
        raise InputError(f"network.vectors={path}: has none of the {len(number)} words of the vocabulary; give another")
    return torch.tensor(list(vectors)), torch.tensor(list(vectors.values()))
