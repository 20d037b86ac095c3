"""Objects from plain values: a mapping with `_target_` is a call of what it names, with the other keys as arguments.

Whoever builds says what may be named. A description that comes from a file that others may have written is built from a
list of targets (`public`): what is not on it is never imported, let alone called.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, get_origin

from l2l_tf.checks import boolean, shown
from l2l_tf.errors import InputError

Target = Callable[..., Any]
Resolve = Callable[[str, str], Target]  # of a key and the name that is its value


def public(module: ModuleType, names: Iterable[str] | None = None) -> dict[str, Target]:
    """A module's public functions and classes, or those of `names`, by their full names."""
    named = {f"{module.__name__}.{name}": getattr(module, name) for name in names or module.__all__}
    return {
        name: target
        for name, target in named.items()
        if inspect.isfunction(target) or (inspect.isclass(target) and get_origin(target) is None)  # not dict[str, int]
    }


def one_of_targets(targets: Mapping[str, Target]) -> Resolve:
    """Finds only what is among `targets`."""

    def resolve(key: str, name: str) -> Target:
        if name not in targets:
            modules = {target.rpartition(".")[0] for target in targets}
            near = sorted(target for target in targets if target.rpartition(".")[0] == name.rpartition(".")[0])
            allowed = f"one of {', '.join(near)}" if near else f"a public name of {', '.join(sorted(modules))}"
            raise InputError(f"{key}={shown(name)}: must be {allowed}")
        return targets[name]

    return resolve


def build(value: Any, resolve: Resolve, key: str) -> Any:
    """What `value` describes; lists and mappings without `_target_` stay such, with what they hold built.

    Args:
        value: a mapping with `_target_`, the arguments, which may be such mappings themselves, and perhaps
            `_partial_: true`, for a function that still takes arguments instead of its result.
        resolve: finds what `_target_` names, or refuses to.
        key: of the value in its configuration, for errors.

    Raises:
        InputError: an unknown name or argument, a missing one, or one that the target does not accept; the key is put
            before a message of the target's that begins with one of its arguments.
    """
    if isinstance(value, list | tuple):
        return [build(item, resolve, f"{key}.{index}") for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    arguments = {name: build(item, resolve, f"{key}.{name}") for name, item in value.items()}
    if "_target_" not in arguments:
        return arguments
    name = arguments.pop("_target_")
    if not isinstance(name, str):
        raise InputError(f"{key}._target_={shown(name)}: must be a name")
    target = resolve(f"{key}._target_", name)
    later = boolean(f"{key}._partial_", arguments.pop("_partial_", False))
    _check_arguments(target, name, arguments, later, key)
    if later:
        return partial(target, **arguments)
    try:
        return target(**arguments)
    except InputError as error:
        named = re.match(r"\w+", str(error))
        about = named is not None and named[0] in [parameter.name for parameter in parameters(target)]
        raise InputError(f"{key}.{error}" if about else str(error)) from error
    except Exception as error:  # whatever the target makes of what it was given
        raise InputError(f"{key}: {name}: {type(error).__name__}: {shown(error, 200)}") from error


def parameters(target: Target) -> list[inspect.Parameter]:
    """What a function or a class may be called with; of a class without regard to its metaclass, such as Sonnet's."""
    function = getattr(target, "__init__", target) if inspect.isclass(target) else target
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C, say
        return []
    return found[1:] if inspect.isclass(target) else found


def _check_arguments(target: Target, name: str, arguments: Mapping[str, Any], later: bool, key: str) -> None:
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    allowed = parameters(target)
    known = {parameter.name: parameter.default for parameter in allowed if parameter.kind in by_name}
    if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in allowed):
        for argument in arguments:
            if argument not in known:
                raise InputError(
                    f"{key}.{argument}={shown(arguments[argument])}: {name} has no such argument; it has "
                    f"{', '.join(known) or 'none'}"
                )
    missing = [argument for argument, default in known.items() if default is inspect.Parameter.empty]
    missing = [] if later else [argument for argument in missing if argument not in arguments]
    if missing:
        raise InputError(f"{key}: {name} needs {', '.join(missing)}")
