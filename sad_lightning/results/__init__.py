"""The results below a folder, each read once: ``results`` reads them, ``index`` remembers what they said."""

from sad_lightning.results.index import Index, Stamp
from sad_lightning.results.results import Results, files_below, nothing_is_garbage

__all__ = ["Index", "Results", "Stamp", "files_below", "nothing_is_garbage"]
