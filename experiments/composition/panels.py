"""Panels of the paper's figures: which optimizee, how long, how many problems; tuned, evaluated and stored."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from experiments.composition.cli import build, build_optimizee, plain, tuning_optimizee
from experiments.results import store
from experiments.results.kept import Kept
from experiments.results.parts import Parts
from l2l_tf.checks import at_least, one_of
from l2l_tf.data.cifar10 import CLASSES
from l2l_tf.errors import InputError
from l2l_tf.evaluation.evaluate import Evaluator, accuracies, as_frame
from l2l_tf.evaluation.tune import tune
from l2l_tf.optimizees import Optimizee, SonnetClassifier
from l2l_tf.optimizers import CoordinatewiseOptimizer, ParameterGroups, everything
from l2l_tf.serialization.trained import load_optimizer

ACCURACY = "accuracy"
UNSEEN = "LSTM-sub"  # a learned optimizer that may not have seen the panel's labels


@dataclass(frozen=True)
class Panel:
    """One panel of a figure.

    Attributes:
        key: its key in the configuration, `figure_4_left`.
        optimizee: what differs from the experiment's optimizee.
        architectures: for figure 6, the variations of the optimizee's module; each is tuned and run on its own.
        steps: length of the runs.
        problems: how many test problems.
        window: the baselines are tuned by their mean loss over the last `window` steps.
        keep_last: store only so many of each run's last steps; None for all.
        batch: problems run at once.
        learned: names of learned optimizers, and the trained experiments they come from; `cifar10:1` is the optimizer
            of group 1 of those that cifar10 trained, for all parameters. One called `LSTM-sub` must have been trained
            on labels that the panel's images do not have.
        baselines: whether the baselines run too; learned optimizers may be compared with another panel's.
    """

    key: str
    optimizee: Mapping[str, Any] = field(default_factory=dict)
    architectures: tuple[Mapping[str, Any], ...] = ({},)
    steps: int = 100
    problems: int = 100
    window: int = 1
    keep_last: int | None = None
    batch: int = 5
    learned: Mapping[str, str] = field(default_factory=dict)
    baselines: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "problems", "window", "batch"):
            at_least(f"panels.{self.key}.{name}", getattr(self, name), 1)

    @property
    def name(self) -> str:
        """What the panel is called in results: `figure_4_left`, a key that Hydra can override, is panel "4-left"."""
        return self.key.removeprefix("figure_").replace("_", "-")

    def variants(self, optimizee: DictConfig) -> list[tuple[Mapping[str, Any], DictConfig]]:
        """The panel's architectures with their optimizee configurations."""
        variants = []
        for architecture in self.architectures:
            variant = OmegaConf.merge(optimizee, self.optimizee, {"module": architecture} if architecture else {})
            assert isinstance(variant, DictConfig)
            variants.append((architecture, variant))
        return variants


def select(config: DictConfig) -> list[Panel]:
    """The panels that the configuration asks for: `panel`, or all of the experiment's.

    Raises:
        InputError: an unknown panel, or an unknown key in one.
    """
    available = all_panels(config)
    if not available:
        raise InputError("panels: there are none; choose an experiment that has some, such as experiment=quadratic")
    chosen = list(available) if config.panel is None else [one_of("panel", str(config.panel), available)]
    panels = [available[key] for key in chosen]
    for panel in panels:
        check_unseen_labels(config, panel)
    return panels


def all_panels(config: DictConfig) -> dict[str, Panel]:
    """Every panel of the experiment, by its key.

    Raises:
        InputError: an unknown key in a panel.
    """
    allowed = {item.name for item in fields(Panel)} - {"key"}
    default = {"learned": {"LSTM": config.name}}
    panels = {}
    for key, settings in plain(config.panels).items():
        for attribute in settings:
            one_of(f"panels.{key}: key", attribute, allowed)
        panels[key] = Panel(key, **(default | settings))
    return panels


def check_unseen_labels(config: DictConfig, panel: Panel) -> None:
    """Refuses a panel whose `LSTM-sub` has seen images of the panel's labels in training.

    What it has seen is read from the record of its training; before there is one, it is what this configuration will
    train it on.

    Raises:
        InputError: a label in common, or an unknown one.
    """
    source = panel.learned.get(UNSEEN)
    if source is None:
        return
    record = _trained(config, source) / "provenance.yaml"
    if record.exists():
        trained = store.read_record(record).get("config") or {}
        if "optimizee" not in trained:
            raise InputError(f"{record}: no readable record")
        refuse_common_labels(config, panel, trained)
    elif source == config.name:  # another one that is missing: evaluation will say so
        refuse_common_labels(config, panel, config)


def check_training_labels(config: DictConfig) -> None:
    """Refuses to train an `LSTM-sub` on images of the labels that its panel will test it on.

    Raises:
        InputError: a label in common, or an unknown one.
    """
    for panel in all_panels(config).values():
        if UNSEEN in panel.learned and panel.learned[UNSEEN] == config.name:
            refuse_common_labels(config, panel, config)


def refuse_common_labels(config: DictConfig, panel: Panel, trained: Mapping[str, Any]) -> None:
    """Refuses a training, by its configuration, that has images of one of the panel's labels.

    Raises:
        InputError: a label in common, or an unknown one.
    """
    source = panel.learned[UNSEEN]
    _, variant = panel.variants(config.optimizee)[0]
    key = f"panels.{panel.key}.optimizee.data.labels"
    common = _labels(key, variant) & _labels(f"{source}: optimizee.data.labels", trained["optimizee"])
    if common:
        names = ", ".join(CLASSES[label] for label in sorted(common))
        raise InputError(f"{key}: {UNSEEN} ({source}) is trained on {names} as well: must have no label in common")


def _labels(key: str, optimizee: Mapping[str, Any]) -> set[int]:
    """The numbers of the labels, names or numbers themselves, that an optimizee's images have; all if it lists none."""
    numbers = {str(label): number for number, name in enumerate(CLASSES) for label in (name, number)}
    listed = optimizee.get("data", {}).get("labels")
    if listed is None:
        return set(numbers.values())
    return {numbers[one_of(key, str(label), numbers)] for label in listed}


def tune_panel(config: DictConfig, panel: Panel) -> pd.DataFrame:
    """Tunes every baseline on the panel's validation problems, or reads what is stored from the same settings."""
    if not panel.baselines:
        return pd.DataFrame(columns=list(store.TUNING)).astype({"chosen": bool})
    path = _results(config, "tuning", panel)
    settings = _settings(config, panel)
    if _up_to_date(path, settings):
        return store.read_parquet(path, store.TUNING)
    parts = Parts(path, settings)
    frames = []
    for architecture, variant in panel.variants(config.optimizee):
        optimizee = tuning_optimizee(config, variant)
        for name, baseline in config.baselines.items():
            label = f"{panel.name} {_label(config, architecture)} {name}"
            make = partial(
                tune,
                optimizee,
                build(baseline),
                steps=panel.steps,
                window=panel.window,
                seed=config.seed,
                batch=panel.batch,
                report=partial(_report, label),
                progress=label,
                **plain(config.tuning),
            )
            rates = parts.get(label, make)
            best = rates[rates.chosen].iloc[0]
            _report(label, f"rate {best.learning_rate:.3g}, validation loss {best.loss:.4g}")
            frames.append(rates.assign(optimizee=_label(config, architecture), optimizer=name, **architecture))
    frame = pd.concat(frames, ignore_index=True)
    store.check(path, frame, store.TUNING)
    store.write_table(path.with_suffix(""), frame, parquet=True)
    store.write_provenance(path, store.provenance(settings, parts.seconds))
    parts.clear()
    return frame


def evaluate_panel(config: DictConfig, panel: Panel) -> Path:
    """Runs the tuned baselines and the learned optimizers on the panel's test problems and stores their curves.

    Where the optimizee is a classifier, its final accuracy on all test images is stored too. Runs that are stored
    already and would come out again as they are, such as the baselines' when only a learned optimizer is trained anew,
    are kept; the provenance says from where.

    Raises:
        InputError: a stored file is damaged, or a learned optimizer is missing or has seen what it must not.
    """
    path = _results(config, "curves", panel)
    shared = _settings(config, panel)
    digests = {name: _digest(config, source) for name, source in panel.learned.items()}
    settings = shared | {"trained": digests}
    if _up_to_date(path, settings):
        return path
    rates = tune_panel(config, panel)
    kept = Kept(path, _results(config, ACCURACY, panel), settings)
    parts = Parts(path, shared)  # a learned optimizer that is trained anew leaves the others' parts as they are
    frames, accuracy_frames = [], []
    for architecture, variant in panel.variants(config.optimizee):
        optimizee = build_optimizee(variant, "test")
        label = _label(config, architecture)
        chosen = rates[rates.chosen & (rates.optimizee == label)].set_index("optimizer").learning_rate
        optimizers = {str(name): build(config.baselines[name])(float(rate)) for name, rate in chosen.items()}
        optimizers |= {name: load_learned(config, source) for name, source in panel.learned.items()}
        for name, optimizer in optimizers.items():
            progress = f"{panel.name} {label} {name}"
            if name in kept.origins:
                _report(progress, f"kept, from {kept.origins[name].get('date')}")
                frames.append(kept.curves(name, label))
                accuracy_frames += kept.accuracies(name, label)
                continue
            curves = parts.get(
                f"{progress} {digests.get(name, '')}",
                partial(run, panel, optimizee, optimizer, config.seed, progress),
            )
            accuracy = curves.attrs.pop(ACCURACY, None)
            if panel.keep_last is not None:
                curves = curves[curves.step > panel.steps - panel.keep_last]
            origin = {"experiment": config.name, "panel": panel.name, "optimizer": name, "optimizee": label}
            frames.append(curves.assign(**origin, **architecture))
            if accuracy is not None:
                right = pd.DataFrame({"seed": range(panel.problems), "accuracy": accuracy})
                accuracy_frames.append(right.assign(**origin, step=panel.steps, **architecture))
    provenance = store.provenance(settings, parts.seconds) | ({"kept": kept.origins} if kept.origins else {})
    if accuracy_frames:
        store.write_accuracies(_results(config, ACCURACY, panel), pd.concat(accuracy_frames), provenance)
    store.write_curves(path, pd.concat(frames, ignore_index=True), provenance)  # last: they say that the panel is done
    parts.clear()
    _report(str(path), f"{panel.problems} problems, {panel.steps} steps")
    return path


def run(
    panel: Panel, optimizee: Optimizee, optimizer: CoordinatewiseOptimizer | ParameterGroups, seed: int, progress: str
) -> pd.DataFrame:
    """One optimizer's losses on the panel's test problems: columns seed, step, loss.

    Of a classifier the frame's `attrs` have the accuracies on all test images at the end, a list over the problems.
    """
    evaluator = Evaluator(optimizee, optimizer, panel.steps, panel.batch)
    losses, finals = evaluator.losses(seed, "test", range(panel.problems), progress)
    curves = as_frame(losses)
    if isinstance(optimizee, SonnetClassifier):
        curves.attrs[ACCURACY] = accuracies(optimizee, finals).tolist()
    return curves


def load_learned(config: DictConfig, source: str) -> ParameterGroups:
    """The optimizer that a panel's `learned` names: `mnist`, or `cifar10:1` for the one of group 1 alone.

    Raises:
        InputError: there is none, its files are damaged, or it has no such group.
    """
    optimizer = load_optimizer(_trained(config, source))
    _, colon, group = source.partition(":")
    if not colon:
        return optimizer
    index = one_of(f"learned={source}: group", group, map(str, range(len(optimizer.groups))))
    return everything(optimizer.groups[int(index)].optimizer)


def _report(what: str, line: str) -> None:
    tqdm.write(f"{what}: {line}")


def _label(config: DictConfig, architecture: Mapping[str, Any]) -> str:
    return " ".join([str(config.name), *(f"{key}={value}" for key, value in architecture.items())])


def _results(config: DictConfig, kind: str, panel: Panel) -> Path:
    return Path(config.results) / kind / f"{panel.name}.parquet"


def _trained(config: DictConfig, source: str) -> Path:
    return Path(config.results) / "trained" / source.partition(":")[0]


def _digest(config: DictConfig, source: str) -> str:
    folder = _trained(config, source)
    path = folder / "optimizer.safetensors"
    if not path.is_file():
        command = f"python -m experiments.train experiment={folder.name}"
        raise InputError(f"{path}: no trained optimizer; train it with {command}")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _settings(config: DictConfig, panel: Panel) -> dict[str, Any]:
    """What a stored result depends on, apart from the trained weights."""
    resolved = plain(config)
    settings = {key: resolved[key] for key in ("name", "seed", "optimizee", "baselines", "tuning")}
    if resolved["tune_on"]:
        settings["tune_on"] = resolved["tune_on"]
    settings["optimizee"].pop("compile", None)  # it is for meta-training, and changes nothing but the time
    return store.portable(settings | {"panel": {item.name: getattr(panel, item.name) for item in fields(panel)}})


def _up_to_date(path: Path, settings: dict[str, Any]) -> bool:
    """Whether a stored result was made from these very settings."""
    return path.exists() and store.read_provenance(path).get("config") == store.portable(settings)
