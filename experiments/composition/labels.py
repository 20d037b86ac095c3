"""An optimizer that is shown as never having seen a panel's labels must not have been trained on images of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.composition.panel import Panel, compose_panel
from experiments.results.record import read_record
from experiments.results.trained import trained_folder
from l2l_tf.checks import one_of, shown
from l2l_tf.data.cifar10 import CLASSES
from l2l_tf.errors import InputError


def check_unseen_labels(panel: Panel, results: Sequence[Path]) -> None:
    """Refuses a panel with an optimizer in `unseen_labels` that, by the record of its training, has seen some.

    Raises:
        InputError: a label in common, an unknown one, or no readable record.
    """
    for name in panel.unseen_labels:
        path = trained_folder(results, panel.learned[name]) / "provenance.yaml"
        refuse_common_labels(panel, name, read_record(path)["config"]["optimizee"])


def check_training_labels(experiment: str, optimizee: Mapping[str, Any], panels: Sequence[str]) -> None:
    """Refuses to train on labels on which one of the experiment's panels shows the optimizer as not having seen them.

    Raises:
        InputError: a label in common, or an unknown one.
    """
    for key in panels:
        panel = compose_panel(key)
        for name in panel.unseen_labels:
            if panel.learned[name] == experiment:
                refuse_common_labels(panel, name, optimizee)


def refuse_common_labels(panel: Panel, name: str, optimizee: Mapping[str, Any]) -> None:
    """Refuses a training's optimizee that has images of one of the panel's labels."""
    key = f"panel={panel.key}: optimizee.data.labels"
    source = panel.learned[name]
    common = _labels(key, panel.base) & _labels(f"{source}: optimizee.data.labels", optimizee)
    if common:
        names = ", ".join(CLASSES[label] for label in sorted(common))
        raise InputError(f"{key}: {name} ({source}) is trained on {names} as well: must have no label in common")


def _labels(key: str, optimizee: Mapping[str, Any]) -> set[int]:
    """The numbers of the labels, names or numbers themselves, that an optimizee's images have; all if it lists none."""
    numbers = {str(label): number for number, name in enumerate(CLASSES) for label in (name, number)}
    data = optimizee.get("data") or {}
    listed = data.get("labels") if isinstance(data, Mapping) else data
    if listed is None:
        return set(numbers.values())
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        raise InputError(f"{key}={shown(listed)}: must be a list of labels")
    return {numbers[one_of(key, str(label), numbers)] for label in listed}
