"""What the fork server of ``support.kills`` does before it forks: a child is a command that has just started."""

import gc
import sys
from importlib import import_module

import torch

import support.kills
from sad_lightning.training import trainer

for name in ("cell.run", "cell.mixture", "cell.shallow", "card.page", "predict.scoring", "report.__main__"):
    import_module(f"sad_lightning.{name}")
import_module("sad_lightning.train.__main__")
trainer._SECONDS_BETWEEN_CHECKPOINTS = 0.0  # after every epoch, so that there is much to resume from
torch.set_num_threads(1)
sys.addaudithook(support.kills.count_changes)
gc.collect()
gc.freeze()  # else a child copies every page that a collection looks through
