"""t-SNE of the latent space of a VAE and of a dual-prior VAE (daniel2021 Figure 1)."""

import tempfile
from pathlib import Path

import numpy as np
from hydra.utils import instantiate
from sklearn.manifold import TSNE

from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.config.compose import composed
from sad_lightning.drawing import svg
from sad_lightning.report.figures.projection import encode

_SIDE, _GAP, _TOP, _ROWS = 330, 30, 34, 700


def latent_figure(data: str, *settings: str) -> svg.Figure:
    """Train both methods on a data set of ``conf/data``, and draw the codes of its test rows."""
    parts, words = [], []
    for place, method in enumerate(("vae", "dp_vae")):
        cfg = composed(f"data={data}", f"method={method}", "logger=none", *settings)
        with tempfile.TemporaryDirectory(prefix="sad_lightning") as folder:
            cfg.runs = folder
            result = run_cell(Cell(cfg, Path(folder), data, method))
            codes, classes = encode(Path(folder), result.settings, instantiate(cfg.data), _ROWS)
        points = TSNE(random_state=0, init="pca").fit_transform(codes)
        odd = ~np.isin(classes, result.coordinates.normal_class)
        left = _GAP + place * (_SIDE + _GAP)
        (low_x, low_y), (high_x, high_y) = points.min(axis=0), points.max(axis=0)
        x = svg.Axis(float(low_x), float(high_x), left, left + _SIDE, (), "")
        y = svg.Axis(float(low_y), float(high_y), _TOP + _SIDE, _TOP, (), "")
        name = f"{method}, AUROC {100 * result.metrics['auroc']:.1f} %"
        parts.append(svg.text(left + _SIDE / 2, 18, name, "mid strong"))
        for (a, b), colour in zip(points.tolist(), odd.astype(int).tolist(), strict=True):
            parts.append(svg.mark(x(a), y(b), colour, "faint strongly", 2.6))
        words.append(f"{name}, {int(odd.sum())} anomalies among {len(odd)} test rows")
    title = f"Latent space on {data}"
    caption = "t-SNE of the means of q(z|x) of test rows: normals in blue, anomalies in orange; one training each."
    size = (2 * (_SIDE + _GAP) + _GAP, _TOP + _SIDE + 12)
    return svg.make_figure("latent", size, parts, title=title, alt=f"{title}. {'; '.join(words)}.", caption=caption)
