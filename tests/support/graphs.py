"""What a graph computes."""

import numpy as np
import torch


def onnx_scores(content: bytes, rows: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Scores and decisions of raw rows by ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    scores, decisions = session.run(["score", "anomaly"], {"rows": rows.numpy()})
    return scores, decisions
