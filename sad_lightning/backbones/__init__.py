"""Pretrained networks that turn images into features: rows of numbers, on which any method trains as on a table."""

from sad_lightning.backbones.extractor import FeatureExtractor

__all__ = ["FeatureExtractor"]
