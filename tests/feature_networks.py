"""A tiny feature network, and images for it."""

from typing import Any

import numpy as np

LAYERS: dict[str, Any] = {
    "content_layers": {"relu2_1": 1.0},
    "style_layers": {"relu1_1": 0.5, "relu1_2": 0.25, "relu2_1": 2.0},
}
WEIGHTS: dict[str, Any] = {
    "content_weight": 3.0,
    "style_weight": 2.0,
    "smoothness_weight": 0.5,
    "initial_deviation": 10.0,
}


def tiny_features(seed: int = 0) -> dict[str, np.ndarray]:
    """Two blocks, of two convolutions with 4 channels and of one with 5; activations are of the order of 1."""
    random = np.random.default_rng(seed)
    arrays = {"mean": np.array([120, 110, 100], np.float32)}
    for name, inputs, outputs in (("1_1", 3, 4), ("1_2", 4, 4), ("2_1", 4, 5)):
        deviation = (0.01 if inputs == 3 else 1.0) / (9 * inputs) ** 0.5
        arrays[f"conv{name}/w"] = random.normal(0, deviation, (3, 3, inputs, outputs)).astype(np.float32)
        arrays[f"conv{name}/b"] = random.normal(0, 0.1, outputs).astype(np.float32)
    return arrays


def images(count: int, size: int = 8, seed: int = 1) -> np.ndarray:
    """Noise, uint8 RGB [count, size, size, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def small_vgg() -> dict[str, np.ndarray]:
    """The layers that neural art's configuration names, a few channels each."""
    random = np.random.default_rng(3)
    inputs = 3
    arrays = {"mean": np.array([120, 110, 100], np.float32)}
    for name, outputs in (("1_1", 4), ("1_2", 4), ("2_1", 5), ("2_2", 5), ("3_1", 6)):
        arrays[f"conv{name}/w"] = random.normal(0, (9 * inputs) ** -0.5, (3, 3, inputs, outputs)).astype(np.float32)
        arrays[f"conv{name}/b"] = np.zeros(outputs, np.float32)
        inputs = outputs
    return arrays
