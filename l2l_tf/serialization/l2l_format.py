"""The files of DeepMind's released code (`learning-to-learn`, TensorFlow 1): `.l2l`, a pickle of its LSTM's weights.

They hold `{module: {variable: array}}`: `lstm_k` with `w_gates` [inputs + size, 4 size] and `b_gates` [4 size] for each
layer, `linear` with `w` [size, 1] and `b` [1]. Gates are in the order i, j, f, o, on [x, h], and 1 is added to the
forget gate at run time, as here; only the layout is another: here features come first, there last. RNNprop's files have
`input_projection` with `w` [2, size] and `b` [size] before the layers. Preprocessing and constants are not stored.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from l2l_tf.checks import at_least, below_one, one_of, positive
from l2l_tf.errors import InputError
from l2l_tf.files import write_whole
from l2l_tf.optimizers import (
    CoordinatewiseLSTM,
    Identity,
    LogAndSign,
    Optimizer,
    Preprocessing,
    RNNprop,
    everything,
)
from l2l_tf.serialization.trained import build_optimizer, load_optimizer, read_variables, save_optimizer
from l2l_tf.serialization.unpickler import DescribedArray, as_text, read_pickle

Arrays = dict[str, dict[str, np.ndarray]]

PREPROCESSING: dict[str, type[Preprocessing]] = {"log_and_sign": LogAndSign, "identity": Identity}
SETTINGS: dict[str, float | str] = {  # what a file does not store, with the released code's and RNNprop's values
    "preprocessing": "log_and_sign",
    "p": 5.0,
    "smoothing": 1.1920929e-07,  # float32's epsilon
    "output_scale": 0.01,
    "decay": 0.95,
    "epsilon": 1e-8,
}
_MODULES = {"input_projection/w": "w_projection", "input_projection/b": "b_projection"} | {
    "linear/w": "w_output",
    "linear/b": "b_output",
}


def import_l2l(file: str | Path, output: str | Path, **settings: float | str) -> None:
    """Makes a trained optimizer's folder of a released file, with any number of layers of any sizes.

    Args:
        file: the `.l2l` file. It is read without running it (`l2l_tf.serialization.unpickler`).
        output: the folder, made if need be.
        **settings: what the file does not store, by default the values in `SETTINGS`: `preprocessing` (`log_and_sign`
            or `identity`), `p` and `smoothing` of `LogAndSign`, `output_scale`; of RNNprop `output_scale`, `decay` and
            `epsilon`.

    Raises:
        InputError: the file is not such a file, or a setting's value is not allowed.
    """
    file = Path(file)
    arrays = read_arrays(file)
    config = _config(arrays, file, {**SETTINGS, **settings})
    expected = read_variables(everything(build_optimizer(config)))
    released = {f"{module}/{name}": array for module, named in arrays.items() for name, array in named.items()}
    with np.errstate(over="ignore"):  # an infinity is reported below
        weights = {
            f"0/{_MODULES.get(name, name)}": np.atleast_2d(array.astype(np.float32)).T
            for name, array in released.items()
        }
    if not all(np.isfinite(array).all() for array in weights.values()):
        raise InputError(f"{file}: has weights that are not finite numbers")
    assert weights.keys() == expected.keys()
    save_optimizer(Path(output), config, weights)


def export_l2l(folder: str | Path, file: str | Path, group: int | None = None) -> dict[str, float | str]:
    """Writes a learned optimizer's φ as a released file, which Python 2's pickle and dill can read too.

    Args:
        folder: of a trained optimizer.
        file: the `.l2l` file.
        group: number of the parameter group to write, from 0; needed only where there are several.

    Returns:
        The settings that the file does not store, which `import_l2l` needs to make the same optimizer.

    Raises:
        InputError: the folder is missing or damaged, or the group is neither a coordinatewise LSTM nor RNNprop.
    """
    groups = load_optimizer(folder).groups
    if group is None and len(groups) > 1:
        raise InputError(f"{folder}: has {len(groups)} groups and a file holds one: say which, from 0")
    if group is not None and not 0 <= group < len(groups):
        raise InputError(f"group={group}: must be from 0 to {len(groups) - 1}")
    optimizer = groups[group or 0].optimizer
    if type(optimizer) not in (
        CoordinatewiseLSTM,
        RNNprop,
    ):  # not of a class made from them: the released code has none
        raise InputError(
            f"{folder}: holds {type(optimizer).__name__}, only CoordinatewiseLSTM and RNNprop have released files"
        )
    released_names = {ours: released for released, ours in _MODULES.items()}
    arrays: Arrays = {}
    for path, array in read_variables(everything(optimizer)).items():
        ours = path.removeprefix("0/")
        module, name = released_names.get(ours, ours).split("/")
        layout = array[:, 0] if name.startswith("b") else array.T
        arrays.setdefault(module, {})[name] = np.ascontiguousarray(layout)
    write_whole(Path(file), _pickled(arrays))
    return settings_of(optimizer)


def settings_of(optimizer: Optimizer) -> dict[str, float | str]:
    """The settings with which `import_l2l` makes such an optimizer."""
    if isinstance(optimizer, RNNprop):
        return {name: getattr(optimizer, name) for name in ("output_scale", "decay", "epsilon")}
    assert isinstance(optimizer, CoordinatewiseLSTM)
    if isinstance(optimizer.preprocessing, LogAndSign):
        of_features = {"p": optimizer.preprocessing.p, "smoothing": optimizer.preprocessing.smoothing}
        return {"preprocessing": "log_and_sign", **of_features, "output_scale": optimizer.output_scale}
    return {"preprocessing": "identity", "output_scale": optimizer.output_scale}


def read_arrays(path: Path) -> Arrays:
    """The arrays of a pickled `{module: {variable: array}}`, written by pickle or dill in Python 2 or 3.

    Returns:
        Arrays of float32 or float64, of either byte order, read-only.

    Raises:
        InputError: the file is missing, too large, damaged, holds anything else, or refers to anything that such a
            file has no need of.
    """
    content = read_pickle(path)
    match = isinstance(content, dict) and all(
        isinstance(as_text(module), str)
        and isinstance(named, dict)
        and all(isinstance(as_text(name), str) and _is_float(item) for name, item in named.items())
        for module, named in content.items()
    )
    if not match:
        raise InputError(f"{path}: holds something else than {{module: {{variable: array}}}}")
    arrays = {as_text(m): {as_text(name): item.array for name, item in named.items()} for m, named in content.items()}
    total = sum(array.nbytes for variables in arrays.values() for array in variables.values())
    if total > path.stat().st_size:  # the same data many times
        raise InputError(f"{path}: claims arrays of {total} bytes in a file of {path.stat().st_size}")
    return arrays


def _is_float(item: Any) -> bool:
    return isinstance(item, DescribedArray) and item.array is not None and item.array.dtype.kind == "f"


def layer_sizes(arrays: Arrays, inputs: int, file: Path) -> list[int]:
    """The sizes of the LSTM layers that a released file holds.

    Args:
        inputs: how many inputs the first layer has: the preprocessing's features, or the input projection's size.

    Raises:
        InputError: modules, variables or shapes are not those of a coordinatewise LSTM or of RNNprop.
    """
    found = {f"{module}/{name}": array.shape for module, named in arrays.items() for name, array in named.items()}
    sizes = []
    expected: dict[str, tuple[int, ...]] = {}
    if "input_projection" in arrays:
        expected = {"input_projection/w": (2, inputs), "input_projection/b": (inputs,)}
    for k in range(1, 1 + sum(module.startswith("lstm_") for module in arrays)):
        w_gates, b_gates = f"lstm_{k}/w_gates", f"lstm_{k}/b_gates"
        size = max([4, *found.get(w_gates, ())[-1:], *found.get(b_gates, ())[-1:]]) // 4
        expected |= {w_gates: (inputs + size, 4 * size), b_gates: (4 * size,)}
        sizes.append(size)
        inputs = size
    expected |= {"linear/w": (inputs, 1), "linear/b": (1,)}
    for name in [*expected, *sorted(found.keys() - expected.keys())]:
        if found.get(name) != expected.get(name):
            raise InputError(
                f"{file}: {ascii(name)[1:-1]:.80} has shape {found.get(name, 'none (missing)')}, "
                f"must have {expected.get(name, 'none (unknown)')}{_hint(found)}"
            )
    return sizes


def _hint(found: dict[str, tuple[int, ...]]) -> str:
    """What such a file is, where that is known."""
    updates = found.get("linear/w", ())[1:]
    if updates and updates[0] > 1:
        return (
            f"; it proposes {updates[0]} updates at once, as the released code's KernelDeepLSTM does for convolutions' "
            "kernels: only coordinatewise optimizers can be imported"
        )
    return ""


def _config(arrays: Arrays, file: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The configuration of the optimizer whose weights these are."""
    positive("output_scale", settings["output_scale"])
    if "input_projection" in arrays:
        projection = max([1, *arrays["input_projection"].get("w", np.empty([0])).shape[-1:]])
        below_one("decay", settings["decay"])
        at_least("epsilon", settings["epsilon"], 0.0)
        constants = {name: settings[name] for name in ("output_scale", "decay", "epsilon")}
        layers = layer_sizes(arrays, projection, file)
        return {"_target_": "l2l_tf.optimizers.RNNprop", "layers": layers, "projection": projection, **constants}
    kind = PREPROCESSING[one_of("preprocessing", settings["preprocessing"], PREPROCESSING)]
    first = arrays.get("lstm_1", {}).get("w_gates", np.empty([0]))
    features = first.shape[0] - first.shape[1] // 4 if first.ndim == 2 else 0
    fitting = [name for name, other in PREPROCESSING.items() if other.features == features]
    if features != kind.features and fitting:
        raise InputError(
            f"{file}: its LSTM has {features} input feature(s), preprocessing={settings['preprocessing']} makes "
            f"{kind.features}: must be preprocessing={fitting[0]}"
        )
    layers = layer_sizes(arrays, kind.features, file)
    preprocessing: dict[str, Any] = {"_target_": f"l2l_tf.optimizers.{kind.__name__}"}
    if kind is LogAndSign:
        made = LogAndSign(settings["p"], settings["smoothing"])  # raises if they are not allowed
        preprocessing |= {"p": made.p, "smoothing": made.smoothing}
    return {
        "_target_": "l2l_tf.optimizers.CoordinatewiseLSTM",
        "layers": layers,
        "preprocessing": preprocessing,
        "output_scale": settings["output_scale"],
    }


def _pickled(arrays: Arrays) -> bytes:
    """Protocol 2, Python 2's highest, with the name of NumPy's module that old and new NumPy have both."""
    stream = io.BytesIO()
    pickle.dump(arrays, stream, protocol=2)
    return stream.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1)
