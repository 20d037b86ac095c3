"""A panel of a figure, as `conf/panel/` describes it: what is run, and which claims are made of it."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.composition.schema import Described, Name, Source, check
from experiments.results.run import Spec, canonical_optimizee
from l2l_tf.checks import at_least, one_of, positive, shown
from l2l_tf.errors import InputError

CONF = Path(__file__).resolve().parent.parent.parent / "conf"


@dataclass(frozen=True)
class Tuning:
    """How the baselines' learning rates are found; see `l2l_tf.evaluation.tuning_rule`.

    Attributes:
        optimizee: what is different about the optimizee there.
    """

    low: float
    high: float
    per_decade: int
    problems: int
    finals: int | None = None
    optimizee: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if positive("panel.tuning.low", self.low) > positive("panel.tuning.high", self.high):
            raise InputError(f"panel.tuning.low={self.low}: must be at most panel.tuning.high={self.high}")
        at_least("panel.tuning.per_decade", self.per_decade, 1)
        at_least("panel.tuning.problems", self.problems, 1)
        if self.finals is not None and at_least("panel.tuning.finals", self.finals, 1) < self.problems:
            raise InputError(f"panel.tuning.finals={self.finals}: must be at least problems={self.problems}")


@dataclass(frozen=True)
class Claim:
    """A statement of the paper about a panel.

    Attributes:
        name: of its row in the table of claims.
        compare: what decides it, one of `experiments.reports.claims.COMPARISONS`.
        window: [first, last] step of the mean loss that is compared, or "area"; None: the panel's final loss.
        learned: whose losses are compared.
        other: the panel that they are compared with, where it is another one.
    """

    name: str
    statement: str
    compare: str
    window: str | Sequence[int] | None = None
    learned: str = "LSTM"
    other: str | None = None


@dataclass(frozen=True)
class Panel:
    """One panel. The attributes are explained in `conf/panel/_base.yaml`.

    Attributes:
        key: the name of its file in `conf/panel/`.
        base: the optimizee's configuration, on the images that `split` says where it has images.
        seed: of the problems.
    """

    key: str
    base: Mapping[str, Any]
    seed: int
    name: Name
    title: str
    steps: int
    problems: int
    batch: int
    window: int
    keep_last: int | None
    grid: Mapping[str, Sequence[Any]]
    learned: Mapping[str, Source]
    unseen_labels: Sequence[str]
    baselines: Mapping[str, Described]
    beside: Name | None
    tuning: Tuning
    claims: Sequence[Claim]

    def __post_init__(self) -> None:
        for name in ("steps", "problems", "window", "batch"):
            at_least(f"panel.{name}", getattr(self, name), 1)
        if self.keep_last is not None:
            at_least("panel.keep_last", self.keep_last, 1)
        for name in ("window", "keep_last"):
            if (getattr(self, name) or 1) > self.steps:
                raise InputError(f"panel.{name}={getattr(self, name)}: must be at most panel.steps={self.steps}")
        twice = sorted(set(self.learned) & set(self.baselines))
        if twice:
            raise InputError(f"panel.learned: {twice[0]} is one of panel.baselines too: must have a name of its own")
        for name in self.unseen_labels:
            one_of("panel.unseen_labels", name, self.learned)

    @property
    def variation_keys(self) -> tuple[str, ...]:
        """What is varied, by the last part of its key: `units`."""
        return tuple(key.rpartition(".")[2] for key in self.grid)

    def variations(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """What is varied, by the last part of its key (`units`), and the optimizee's configuration."""
        for values in itertools.product(*self.grid.values()):
            varied = OmegaConf.create(dict(self.base))
            for key, value in zip(self.grid, values, strict=True):
                OmegaConf.update(varied, key, value, merge=False)
            yield dict(zip(self.variation_keys, values, strict=True)), _plain(varied)

    def label(self, variation: Mapping[str, Any]) -> str:
        """The panel's name, and what is varied."""
        return " ".join([self.name, *(f"{key}={value}" for key, value in variation.items())])

    @property
    def tuning_steps(self) -> int:
        """Steps of problems that tuning one baseline on one variation takes, if its grid is wide enough."""
        rates = round(math.log10(self.tuning.high / self.tuning.low) * self.tuning.per_decade) + 1
        return self.steps * self.tuning.problems * rates

    @property
    def all_steps(self) -> int:
        """Steps of problems that the whole panel takes, tuning included."""
        tested = self.steps * self.problems * (len(self.learned) + len(self.baselines))
        return math.prod(map(len, self.grid.values())) * (tested + self.tuning_steps * len(self.baselines))

    def only(self, name: str) -> "Panel":
        """The panel with one of its optimizers.

        Raises:
            InputError: it has none of this name.
        """
        one_of("only", name, [*self.learned, *self.baselines])
        return replace(
            self,
            learned={key: source for key, source in self.learned.items() if key == name},
            baselines={key: baseline for key, baseline in self.baselines.items() if key == name},
            unseen_labels=[key for key in self.unseen_labels if key == name],
        )

    def only_baselines(self) -> "Panel":
        """The panel without its learned optimizers: what there is to tune."""
        return replace(self, learned={}, unseen_labels=[])

    def test_spec(self, optimizee: Mapping[str, Any], optimizer: Mapping[str, Any]) -> Spec:
        """An optimizer's run on the panel's test problems."""
        return Spec(
            canonical_optimizee(optimizee), optimizer, "test", self.seed, self.problems, self.steps, self.keep_last
        )

    def tuning_optimizee(self, optimizee: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration that rates are chosen on: validation data, or what `tuning.optimizee` says."""
        validation = {"data": {"split": "validation"}} if "data" in optimizee else {}
        try:
            changed = OmegaConf.merge(dict(optimizee), validation, dict(self.tuning.optimizee))
        except OmegaConfBaseException as error:
            changes = shown(dict(self.tuning.optimizee))
            raise InputError(
                f"panel.tuning.optimizee={changes}: must be changes of the optimizee ({shown(error, 200)})"
            ) from error
        assert isinstance(changed, DictConfig)
        return _plain(changed)

    def tuning_spec(self, optimizee: Mapping[str, Any], optimizer: Mapping[str, Any], problems: int) -> Spec:
        """A baseline's run at one rate on tuning problems; `optimizee` is `tuning_optimizee`'s."""
        canonical = canonical_optimizee(optimizee)
        return Spec(canonical, optimizer, "validation", self.seed, problems, self.steps, self.window, mean=True)

    def measure(self, claim: Claim) -> "tuple[int, int] | str":
        """What a claim compares: the first and the last step of the mean loss, or "area"."""
        if claim.window is None:
            return self.steps - self.window + 1, self.steps
        if isinstance(claim.window, str):
            return one_of(f"panel.claims: {claim.name}: window", claim.window, ["area"])
        first, last = claim.window
        return int(first), int(last)


EVALUATED = ("optimizee", "panel", "seed", "data")  # the parts of a configuration that a panel is made of


def compose_panels(config: DictConfig) -> list[Panel]:
    """The panels that a command's configuration asks for: `panel`, or all of the experiment's.

    Each is composed by itself, with what the command line says of it: an experiment is about training.

    Raises:
        InputError: there is none, or one is not as it must be.
    """
    hydra = HydraConfig.get()
    chosen = hydra.runtime.choices.get("panel")
    keys = [chosen] if chosen else list(config.panels or [])
    if not keys:
        raise InputError("panel: none is chosen; choose one, such as panel=figure_4_left, or an experiment with panels")
    overrides = [one for one in hydra.overrides.task if _key(one).split(".")[0] in EVALUATED and _key(one) != "panel"]
    panels = [compose_panel(str(key), overrides) for key in keys]
    return [panel.only(config.only) for panel in panels] if config.get("only") else panels


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def compose_panel(key: str, overrides: Sequence[str] = ()) -> Panel:
    """A panel by the name of its file in `conf/panel/`.

    Args:
        overrides: as on the command line.

    Raises:
        InputError: there is none, or it is not as it must be.
    """
    hydra = GlobalHydra.instance()
    if hydra.is_initialized():  # within a command: its `--config-dir` is searched too
        return _composed(key, tuple(overrides), str(hydra.config_loader().get_search_path()))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return _composed(key, tuple(overrides), str(CONF))


@cache  # the reports and the checks of labels look at all panels, and a composition takes a sixth of a second
def _composed(key: str, overrides: tuple[str, ...], search_path: str) -> Panel:
    del search_path  # another one, another panel
    return panel_of(compose("evaluate", [f"panel={key}", *overrides]), key)


def panel_keys() -> list[str]:
    """The names of all files in `conf/panel/`, without those that others are made from."""
    return sorted(path.stem for path in (CONF / "panel").glob("[!_]*.yaml"))


def panel_of(config: DictConfig, key: str) -> Panel:
    """The panel that a composed configuration holds.

    Raises:
        InputError: an unknown or missing key, or a value that is not allowed.
    """
    if not isinstance(config.panel, DictConfig):
        raise InputError(f"panel={shown(config.panel)}: must be a mapping; conf/panel has some to choose from by name")
    try:
        settings = OmegaConf.to_container(config.panel, resolve=True, throw_on_missing=True)
        base = OmegaConf.to_container(config.optimizee, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"panel={key}: {' '.join(str(error).split())}") from error
    check(settings, dict, "panel")
    assert isinstance(settings, dict)
    assert isinstance(base, dict)
    split = one_of("panel.split", settings.pop("split", None), ["test", "train"])
    if isinstance(base.get("data"), dict):
        base["data"]["split"] = split
    for name in ("learned", "baselines"):  # null takes one of them away, or all
        if isinstance(settings.get(name), dict | None):
            settings[name] = {key: value for key, value in (settings.get(name) or {}).items() if value is not None}
    settings |= {"key": key, "base": base, "seed": config.seed}
    check(settings, Panel, "panel")
    settings["tuning"] = Tuning(**settings["tuning"])
    settings["claims"] = [Claim(**claim) for claim in settings["claims"]]
    return Panel(**{str(name): value for name, value in settings.items()})


def _plain(config: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
