"""Pictures read back as they were written."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from sad_lightning.drawing.pixels import picture


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_reads_back(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    tag = picture(pixels, 1, 2, 70, 50)
    assert 'x="1" y="2" width="70" height="50"' in tag
    content = base64.b64decode(re.search('base64,([^"]+)"', tag)[1])
    assert (np.asarray(Image.open(io.BytesIO(content))).reshape(pixels.shape) == pixels).all()
