"""Optimiser steps on known anomalies alone, which the methods of daniel2021 take between steps on normal samples."""

from dataclasses import dataclass

from sad_lightning.checks import positive, true_or_false, whole_number
from sad_lightning.data.module import Stream
from sad_lightning.methods.part import Recipe
from sad_lightning.methods.steps import Update
from sad_lightning.methods.variational import Variational


@dataclass(frozen=True, kw_only=True)
class AnomalySteps(Recipe):
    """The steps on batches of known anomalies alone (daniel2021 appendix D.2, Table 5).

    Attributes:
        interval: how many batches of normal samples come before each batch of known anomalies.
        warm_up: epochs on normal samples alone, before the first such batch.
        clip: the largest norm of the gradient; None for no limit.
        shared_encoder: whether known anomalies share the encoder of normal samples, or have one of their own.
        frozen_decoder: whether these steps leave the decoder as it is.
        settle: whether BatchNorm keeps the statistics of the warm-up; a deep encoder of images needs this.
    """

    interval: int
    warm_up: int
    clip: float | None
    shared_encoder: bool
    frozen_decoder: bool
    settle: bool

    def __post_init__(self) -> None:
        whole_number("method.anomalies.interval", self.interval)
        whole_number("method.anomalies.warm_up", self.warm_up, least=0)
        if self.clip is not None:
            positive("method.anomalies.clip", self.clip)
        true_or_false("method.anomalies.shared_encoder", self.shared_encoder)
        true_or_false("method.anomalies.frozen_decoder", self.frozen_decoder)
        true_or_false("method.anomalies.settle", self.settle)

    def updates(self, vae: Variational, normal: Update, anomalous: Update) -> tuple[Update, Update]:
        """The updates on normal and unlabeled samples, and those on known anomalies, from loss and metrics of each."""
        encoder = vae.encoder if vae.anomaly_encoder is None else vae.anomaly_encoder
        return (
            normal._replace(stream=Stream(frozenset({0, 1})), moves=(vae.encoder, vae.decoder)),
            anomalous._replace(
                stream=Stream(frozenset({-1}), self.interval, self.warm_up),
                moves=(encoder,) if self.frozen_decoder else (encoder, vae.decoder),
                clip=self.clip,
                settles=self.settle,
            ),
        )
