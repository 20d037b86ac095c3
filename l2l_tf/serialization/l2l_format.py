"""The files of DeepMind's released code (`learning-to-learn`, TensorFlow 1): `.l2l`, a pickle of its LSTM's weights.

They hold `{module: {variable: array}}`: `lstm_k` with `w_gates` [inputs + size, 4 size] and `b_gates` [4 size] for each
layer, `linear` with `w` [size, 1] and `b` [1]. Gates are in the order i, j, f, o, on [x, h], and 1 is added to the
forget gate at run time, as here; only the layout is another: here features come first, there last. Preprocessing and
output scale are not stored.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from l2l_tf.checks import one_of, positive
from l2l_tf.errors import InputError
from l2l_tf.files import write_whole
from l2l_tf.optimizers import CoordinatewiseLSTM, Identity, LogAndSign
from l2l_tf.serialization.trained import load_optimizer, save_optimizer
from l2l_tf.serialization.unpickler import DescribedArray, as_text, read_pickle

Arrays = dict[str, dict[str, np.ndarray]]

P = 5.0
OUTPUT_SCALE = 0.01
PREPROCESSING = ("log_and_sign", "identity")
_SMOOTHING = 1.1920929e-07  # float32's epsilon, within the released code's logarithm


def import_l2l(
    file: str | Path,
    output: str | Path,
    p: float = P,
    output_scale: float = OUTPUT_SCALE,
    preprocessing: str = "log_and_sign",
) -> None:
    """Makes a trained optimizer's folder of a released file, with any number of layers of any sizes.

    Args:
        file: the `.l2l` file. It is read without running it (`l2l_tf.serialization.unpickler`).
        output: the folder, made if need be.
        p: of `LogAndSign`, which has the released code's smoothed form.
        output_scale: multiplies the LSTM's output.
        preprocessing: `log_and_sign` or `identity`.

    Raises:
        InputError: the file is not such a file, or an option's value is not allowed.
    """
    file = Path(file)
    preprocessing_config, features = _preprocessing(preprocessing, p)
    positive("output_scale", output_scale)
    arrays = read_arrays(file)
    layers = layer_sizes(arrays, features, file)
    config = {
        "_target_": "l2l_tf.optimizers.CoordinatewiseLSTM",
        "layers": layers,
        "preprocessing": preprocessing_config,
        "output_scale": output_scale,
    }
    weights = {}
    for k in range(1, len(layers) + 1):
        weights[f"0/lstm_{k}/w_gates"] = arrays[f"lstm_{k}"]["w_gates"].T
        weights[f"0/lstm_{k}/b_gates"] = arrays[f"lstm_{k}"]["b_gates"][:, np.newaxis]
    weights["0/w_output"] = arrays["linear"]["w"].T
    weights["0/b_output"] = arrays["linear"]["b"][:, np.newaxis]
    with np.errstate(over="ignore"):  # an infinity is reported below
        float32 = {name: array.astype(np.float32) for name, array in weights.items()}
    if not all(np.isfinite(array).all() for array in float32.values()):
        raise InputError(f"{file}: has weights that are not finite numbers")
    save_optimizer(Path(output), config, float32)


def export_l2l(folder: str | Path, file: str | Path, group: int | None = None) -> None:
    """Writes a learned optimizer's φ as a released file, which Python 2's pickle and dill can read too.

    Args:
        folder: of a trained optimizer.
        file: the `.l2l` file.
        group: number of the parameter group to write, from 0; needed only where there are several.

    Raises:
        InputError: the folder is missing or damaged, or the group is not a coordinatewise LSTM.
    """
    groups = load_optimizer(folder).groups
    if group is None and len(groups) > 1:
        raise InputError(f"{folder}: has {len(groups)} groups and a file holds one: say which, from 0")
    if group is not None and not 0 <= group < len(groups):
        raise InputError(f"group={group}: must be from 0 to {len(groups) - 1}")
    optimizer = groups[group or 0].optimizer
    if type(optimizer) is not CoordinatewiseLSTM:  # not of a class made from it either: the released code has none
        raise InputError(f"{folder}: holds {type(optimizer).__name__}, only CoordinatewiseLSTM has released files")
    arrays: Arrays = {
        f"lstm_{k}": {"w_gates": layer.w_gates.numpy().T, "b_gates": layer.b_gates.numpy()[:, 0]}
        for k, layer in enumerate(optimizer.layers, start=1)
    }
    arrays["linear"] = {"w": optimizer.w_output.numpy().T, "b": optimizer.b_output.numpy()[:, 0]}
    contiguous = {module: {k: np.ascontiguousarray(v) for k, v in named.items()} for module, named in arrays.items()}
    write_whole(Path(file), _pickled(contiguous))


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


def layer_sizes(arrays: Arrays, features: int, file: Path) -> list[int]:
    """The sizes of the LSTM layers that a released file holds.

    Args:
        features: how many the preprocessing makes of a gradient.

    Raises:
        InputError: modules, variables or shapes are not those of a coordinatewise LSTM.
    """
    found = {f"{module}/{name}": array.shape for module, named in arrays.items() for name, array in named.items()}
    sizes = []
    expected: dict[str, tuple[int, ...]] = {}
    inputs = features
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
                f"must have {expected.get(name, 'none (unknown)')} with {features} input features"
            )
    return sizes


def _preprocessing(name: str, p: float) -> tuple[dict[str, Any], int]:
    """Its configuration, and how many features it makes."""
    if one_of("preprocessing", name, PREPROCESSING) == "identity":
        return {"_target_": "l2l_tf.optimizers.Identity"}, Identity.features
    smoothed = LogAndSign(p, _SMOOTHING)  # raises if p is not allowed
    return {"_target_": "l2l_tf.optimizers.LogAndSign", "p": smoothed.p, "smoothing": _SMOOTHING}, smoothed.features


def _pickled(arrays: Arrays) -> bytes:
    """Protocol 2, Python 2's highest, with the name of NumPy's module that old and new NumPy have both."""
    stream = io.BytesIO()
    pickle.dump(arrays, stream, protocol=2)
    return stream.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1)
