"""What each command's composed configuration may hold, key by key; checked once, before anything runs.

A schema is a dataclass: its fields are the keys, their types what the values must be, without any conversion (`"false"`
is no boolean, 1.0 no integer). What a described object's arguments may be its own constructor says.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from l2l_tf.checks import INT64, at_least, is_integer, is_number, one_of, positive, shown
from l2l_tf.errors import InputError

NAME = re.compile(r"\w[\w.-]{0,99}")
KINDS = {bool: "true or false", str: "text", int: "an integer", float: "a number", dict: "a mapping", list: "a list"}


def check(value: Any, kind: Any, key: str = "") -> None:
    """Checks a plain value against a type: a schema, `X | None`, `list[X]`, `dict[str, X]`, `Literal[...]`, bool, ...

    Of `Annotated[X, f, ...]` each f is called with the key and the value, and raises if it does not like them.

    Raises:
        InputError: the first thing wrong: its key, its value, and what is allowed.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return
    if is_dataclass(kind):
        _check_fields(value, kind, key)
    elif origin is Annotated:
        check(value, arguments[0], key)
        for more in arguments[1:]:
            more(key, value)
    elif origin in (UnionType, Union):
        _check_one_of(value, arguments, key)
    elif origin is Literal:
        one_of(key, value, arguments)
    elif origin in (list, Sequence):
        _check_kind(value, list, key)
        for index, item in enumerate(value):
            check(item, arguments[0], f"{key}.{index}")
    elif origin in (dict, Mapping):
        _check_kind(value, dict, key)
        for name, item in value.items():
            check(name, arguments[0], f"{key}: key")
            check(item, arguments[1], f"{key}.{name}")
    else:
        _check_kind(value, kind, key)


def _check_fields(value: Any, schema: Any, key: str) -> None:
    _check_kind(value, dict, key)
    inside = f"{key}." if key else ""
    kinds = get_type_hints(schema, include_extras=True)
    for name in value:
        one_of(f"{key}: key" if key else "key", name, kinds)
    for field in fields(schema):
        if field.name in value:
            check(value[field.name], kinds[field.name], f"{inside}{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{inside}{field.name}: is missing")


def _check_one_of(value: Any, kinds: Sequence[Any], key: str) -> None:
    if value is None and NoneType in kinds:
        return
    *others, last = [kind for kind in kinds if kind is not NoneType]
    for kind in others:
        try:
            return check(value, kind, key)
        except InputError:
            continue
    check(value, last, key)


def _check_kind(value: Any, kind: type, key: str) -> None:
    right = {int: is_integer, float: is_number}.get(kind, lambda found: isinstance(found, kind))
    if not right(value):
        raise InputError(f"{key}={shown('null' if value is None else value)}: must be {KINDS[kind]}")


def integer_from(least: int, most: int | None = None) -> Callable[[str, Any], object]:
    """A check of an integer's size."""
    return lambda key, value: at_least(key, value, least, most)


def _name(key: str, value: str) -> None:
    if not NAME.fullmatch(value):
        raise InputError(f"{key}={shown(value)}: must be a name of letters, digits, _, - and ., at most 100 characters")


def _share(key: str, value: float) -> None:
    if positive(key, value) > 1:
        raise InputError(f"{key}={shown(value)}: must be above 0 and at most 1")


def _path(key: str, value: str) -> None:
    if not value or "\0" in value:
        raise InputError(f"{key}={shown(value)}: must be a path")


def _described(key: str, value: Mapping[str, Any]) -> None:
    if "_target_" not in value:
        raise InputError(f"{key}={shown(dict(value))}: must say by _target_ what it is")


def _split_is_the_commands(key: str, value: Mapping[str, Any]) -> None:
    data = value.get("data")
    if isinstance(data, Mapping) and data.get("split", "train") != "train":
        raise InputError(
            f"{key}.data.split={shown(data['split'])}: must stay train, each command decides for itself; tune_on says "
            "on what choices are made"
        )


def _source(key: str, value: str) -> None:
    name, _, group = value.partition(":")
    if not NAME.fullmatch(name) or not (group.isdecimal() or ":" not in value):
        raise InputError(f"{key}={shown(value)}: must be the name of a trained optimizer, as cifar10, or cifar10:1")


Name = Annotated[str, _name]
Source = Annotated[str, _source]
Path = Annotated[str, _path]
Seed = Annotated[int, integer_from(0, INT64)]
Positive = Annotated[int, integer_from(1)]
Above0 = Annotated[float, positive]
Share = Annotated[float, _share]
Described = Annotated[Mapping[str, Any], _described]
Changes = dict[str, Any]


@dataclass
class Data:
    """Where the data sets are."""

    dir: Path


@dataclass(kw_only=True)
class Trained:
    """What a training depends on."""

    optimizee: Annotated[Described, _split_is_the_commands]
    optimizer: Described
    schedule: Described
    seed: Seed
    train_on: Changes
    tune_on: Changes
    start_from: Path | None = None


@dataclass
class Photographs:
    """A folder of one's own, for neural art."""

    dir: Path | None


@dataclass(kw_only=True)
class Training(Trained):
    """`conf/train.yaml`; the last three are of `conf/optimizee/neural_art.yaml`."""

    name: Name
    data: Data
    once_trained: Changes
    stages: Path | None
    panels: list[Name]
    studies: Changes
    photos: Photographs | None = None
    style: Path | None = None
    features: Path | None = None


@dataclass(kw_only=True)
class Evaluation(Training):
    """`conf/evaluate.yaml`."""

    results: Path
    reuse: bool
    refresh: bool
    only: str | None = None
    panel: Any = None  # `experiments.composition.panel` has its schema


@dataclass
class TimeToLoss(Training):
    """`conf/time_to_loss.yaml`."""

    targets: list[Above0]
    folder: Path
    schedules: dict[str, Changes]


@dataclass
class Verification:
    """`conf/verify.yaml`."""

    results: Path
    panels: list[Name] | None
    one_in: Positive
    processes: Positive
    table: Path | None
    data: Data


@dataclass
class OptionalData:
    """Where the data sets are, if that is to be said."""

    dir: Path | None


@dataclass
class Diagnosis:
    """`conf/diagnose.yaml`."""

    run: Path | None
    problems: Positive
    horizon: Positive
    data: OptionalData
    trust: list[str]


@dataclass
class Fetching:
    """`conf/data.yaml`."""

    dir: Path
    sets: list[Literal["mnist", "cifar10", "vgg16", "vgg19", "photographs"]]


@dataclass
class Benchmark:
    """`conf/bench.yaml`."""

    folder: Path
    studies: list[Literal["engine", "sampling", "convolutions", "short_runs"]]
    quick: bool
    optimizees: list[Literal["quadratics", "MNIST net", "CIFAR-10 net", "1,000,000-parameter net"]]
    layers: list[Positive]
    steps: Positive
    repeats: Positive
    fraction: Share
    memory_limit: Above0 | None
    coordinates: list[Positive]
    unrolls: list[Positive]
    fractions: list[Share]
    trained: dict[str, Path]
    short_runs: dict[Name, list[str]]
    data: Data


@dataclass
class HeldAgainst:
    """A baseline, the paper's optimizer whose curves it is held against, and the ends of its grid of rates."""

    of: Literal["SGD", "RMSprop", "ADAM", "NAG"]
    low: Above0
    high: Above0
    make: Described


@dataclass
class CalibrationTuning:
    """The grid of rates and how many problems each runs on."""

    per_decade: Positive
    problems: Positive
    finals: Positive | None


@dataclass
class Calibration(Training):
    """`conf/calibration.yaml`."""

    results: Path
    deviations: list[Above0]
    between: list[Above0]
    networks: dict[Literal["4-centre", "5-left", "5-centre", "5-right", "7-left", "7-centre", "7-right"], Changes]
    split: Literal["train", "validation"]
    steps: Positive
    window: Positive
    batch: Positive
    tuning: CalibrationTuning
    baselines: dict[str, HeldAgainst]
    variants: dict[str, HeldAgainst] | None


@dataclass
class Suite:
    """`conf/suite.yaml`."""

    results: Path
    tasks: list[str]
    optimizers: list[str]
    seeds: Positive
    steps: Positive
    trained: Path
    tables_only: bool
    data: Data


SCHEMAS: Mapping[str, type] = {  # by the name of the configuration in conf/
    "train": Training,
    "evaluate": Evaluation,
    "time_to_loss": TimeToLoss,
    "verify": Verification,
    "diagnose": Diagnosis,
    "data": Fetching,
    "bench": Benchmark,
    "calibration": Calibration,
    "suite": Suite,
}
