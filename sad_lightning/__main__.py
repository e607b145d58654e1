"""The command line: ``sad_lightning VERB ...`` is ``python -m sad_lightning.VERB ...``; without a verb it trains."""

import sys
from importlib import import_module
from pathlib import Path

from sad_lightning.command import command_frame
from sad_lightning.errors import InputError


def main() -> None:
    """Run the command that the first argument names: a folder of this package that has a ``__main__.py``."""
    verbs = sorted(path.parent.name for path in Path(__file__).parent.glob("*/__main__.py"))
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    with command_frame("sad_lightning"):
        if word.isidentifier() and word not in verbs:
            raise InputError(f"{word}: is neither a command nor a setting KEY=VALUE; there are {', '.join(verbs)}")
    verb = sys.argv.pop(1) if word in verbs else "train"
    import_module(f"sad_lightning.{verb}.__main__").main()


if __name__ == "__main__":
    main()
