"""Data sets, each a function that returns ``Arrays``, and what follows them: splits, scaling, the datamodule."""

from sad_lightning.data.own.image_folder import folder
from sad_lightning.data.own.layouts import images
from sad_lightning.data.own.npz_file import npz
from sad_lightning.data.own.tables import table
from sad_lightning.data.sets.cats_vs_dogs import cats_vs_dogs
from sad_lightning.data.sets.images import cifar10, digits, fashion_mnist, mnist
from sad_lightning.data.sets.motion_planning import motion_planning
from sad_lightning.data.sets.sentences import sentences
from sad_lightning.data.sets.spectrum import spectrograms
from sad_lightning.data.sets.synthetic import gaussians, synthetic_spectrograms
from sad_lightning.data.sets.tabular import landsat, odds

__all__ = [
    "cats_vs_dogs", "cifar10", "digits", "fashion_mnist", "folder", "gaussians", "images", "landsat", "mnist",
    "motion_planning", "npz", "odds", "sentences", "spectrograms", "synthetic_spectrograms", "table",
]  # fmt: skip
