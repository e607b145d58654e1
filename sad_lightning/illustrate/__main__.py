"""``python -m sad_lightning.illustrate``: the figures of the papers that explain, as SVG.

paradigms: five ways to learn in two dimensions (ruff2020 Figure 1, ruff2019 Figure 1). cubo: the bound of a Gaussian
(daniel2021 Figure 2). latent: t-SNE of the latent space of a VAE and of a dual-prior VAE, trained on a data set, as on
thyroid in the paper (daniel2021 Figure 1).
"""

from pathlib import Path

from sad_lightning.checks import choice
from sad_lightning.command import command_frame, command_parser
from sad_lightning.files import write_texts

FIGURES = ("paradigms", "cubo", "latent")


def main() -> None:
    """Draw what was asked for."""
    parser = command_parser("illustrate", __doc__, "paradigms cubo --out figures")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)} (paradigms and cubo)")
    parser.add_argument("--out", type=Path, default=Path("figures"), metavar="FOLDER", help="where to write (figures)")
    parser.add_argument("--data", default="thyroid", help="of latent: the data set to train on (thyroid)")
    options = parser.parse_args()
    with command_frame("sad_lightning.illustrate"):
        figures = [choice("FIGURE", name, FIGURES) for name in options.figures or FIGURES[:2]]
        for name in figures:
            write_texts(options.out, {f"{name}.svg": _draw(name, options.data)})
            print(options.out / f"{name}.svg")


def _draw(name: str, data: str) -> str:
    if name == "paradigms":
        from sad_lightning.illustrate.paradigms import paradigms_figure  # scikit-learn

        return paradigms_figure().file()
    if name == "cubo":
        from sad_lightning.illustrate.cubo import cubo_figure

        return cubo_figure().file()
    from sad_lightning.illustrate.latent import latent_figure  # torch

    return latent_figure(data).file()


if __name__ == "__main__":
    main()
