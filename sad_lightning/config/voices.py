"""The voices of a mixture: each is the cell of the same command line with a few further settings.

    voices: {trees: [method=extra_trees, method.rotations=1], nets: [method=hsc, ensemble=20]}

The yaml or the command line lists the settings of a voice that differ, as they would be typed; ``compose.with_voices``
replaces the list by the composed settings. A voice decides how it is trained; rows, labels and seed are the cell's.
"""

from typing import Any

from omegaconf import DictConfig, OmegaConf

OF_VOICE = ("method", "network", "optimizer", "pretrain", "trainer", "batch_size", "balance", "trim", "ensemble",
            "ensemble_mean", "features", "selection")  # fmt: skip
OF_CELL = ("data", "split", "preprocess", "seed", "target_fpr", "patience")
MIXTURE = "mixture"


def method_name(cfg: DictConfig, choice: str) -> str:
    """The name of a cell's method: the choice of ``method``, or ``mixture`` if it has voices."""
    return MIXTURE if cfg.get("voices") else choice


def voice_of(cfg: DictConfig, name: str) -> DictConfig:
    """The settings of a cell that is this voice alone.

    Args:
        cfg: of the cell, from ``compose.with_voices``.
        name: of the voice.
    """
    settings: Any = OmegaConf.to_container(cfg)  # plain data: a copy of composed settings takes three times as long
    own = settings["voices"][name]
    settings |= {key: own[key] for key in OF_VOICE} | {"voices": {}}
    voice: DictConfig = OmegaConf.create(settings)
    OmegaConf.set_struct(voice, True)
    return voice
