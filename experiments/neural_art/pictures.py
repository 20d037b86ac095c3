"""Figure 9's and appendix C's images: test contents in both styles, by the trained optimizer and by tuned baselines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.composition.panel import Panel
from experiments.neural_art.optimizers import panel_optimizer
from experiments.results.making import Maker
from l2l_tf.checks import instance_of
from l2l_tf.data import load_style
from l2l_tf.evaluation.evaluate import Evaluator
from l2l_tf.files import save_arrays
from l2l_tf.optimizees import NeuralArt


def store_pictures(panels: Sequence[Panel], runs: Maker, settings: Mapping[str, Any]) -> Path:
    """Writes `pictures/neural_art.safetensors`: `<panel>/content`, `<panel>/<optimizer>` and `<panel>/style`, uint8.

    Contents and results are [n, size, size, 3] in the order of `settings["contents"]`.
    """
    arrays: dict[str, np.ndarray] = {}
    for panel in panels:
        optimizee = runs.optimizee(panel.base)
        instance_of("optimizee", optimizee, NeuralArt)
        assert isinstance(optimizee, NeuralArt)
        numbers = list(settings["contents"])
        arrays[f"{panel.name}/content"] = optimizee.contents.numpy()[numbers]
        arrays[f"{panel.name}/style"] = load_style(panel.base["style"], optimizee.contents.shape[1], runs.data_dir)
        for name in settings["optimizers"]:
            evaluator = Evaluator(optimizee, panel_optimizer(panel, runs, name), panel.steps, panel.batch)
            _, finals = evaluator.losses(panel.seed, "test", numbers, f"{panel.name} pictures {name}")
            arrays[f"{panel.name}/{name}"] = np.concatenate([optimizee.images(params) for params in finals])
    path = runs.store.folder / "pictures" / "neural_art.safetensors"
    save_arrays(path, arrays)
    return path
