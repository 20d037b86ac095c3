"""Any Sonnet classifier as an optimizee: its parameters are θ, its minibatch cross entropy is f(θ)."""

import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import sonnet as snt
import tensorflow as tf

from l2l_tf.checks import INT32, at_least, boolean, instance_of, is_integer, is_number, shown
from l2l_tf.data import Images
from l2l_tf.errors import InputError
from l2l_tf.names import short_names
from l2l_tf.optimizees.base import Optimizee, Parameters


class SonnetClassifier(Optimizee):
    """f(θ) = mean cross entropy of a Sonnet module on a random minibatch of labelled images.

    Args:
        module: makes the module, which maps images float32 [batch, height, width, channels] in [0, 1] to logits
            [batch, classes].
        data: the images to draw minibatches from, with replacement.
        batch_size: images in a minibatch, 128 in the paper.
        initial_deviation: standard deviation of θ_0's IID Gaussian entries, 0.01 in the released code.
        initial_deviations: others by parameter-name pattern, where one matches.
        initial_means: means of θ_0 by parameter-name pattern, 0 where none matches; 1 for batch norm's scale, say.
        vectorize, compile: see `Optimizee`.
        arguments: what else the module is called with, such as `is_training: true`.
        subset: [fewest, most] images that a problem has, successive ones of `data`; how many is drawn log-uniformly.
            If there are no more than that, or for None, a problem has all.

    Raises:
        InputError: a number is out of range, or the module makes fewer logits than the data has labels.
    """

    def __init__(
        self,
        module: Callable[[], snt.Module],
        data: Images,
        batch_size: int = 128,
        initial_deviation: float = 0.01,
        initial_deviations: Mapping[str, float] | None = None,
        initial_means: Mapping[str, float] | None = None,
        vectorize: bool = False,
        compile: bool = False,
        arguments: Mapping[str, Any] | None = None,
        subset: Sequence[int] | None = None,
    ):
        self.batch_size = at_least("batch_size", batch_size, 1)
        self.initial_deviation = at_least("initial_deviation", initial_deviation, 0.0)
        self.initial_deviations = _by_pattern("initial_deviations", initial_deviations)
        for pattern, deviation in self.initial_deviations.items():
            at_least(f"initial_deviations.{pattern}", deviation, 0.0)
        self.initial_means = _by_pattern("initial_means", initial_means)
        self.vectorize = boolean("vectorize", vectorize)
        self.compile = boolean("compile", compile)
        instance_of("arguments", arguments or {}, Mapping)
        self.arguments = dict(arguments or {})
        instance_of("data", data, Images)
        self.subset = None if subset is None else _range("subset", subset)
        self.images = tf.constant(data.images)
        self.labels = tf.constant(data.labels)
        if not callable(module):
            raise InputError(f"module={shown(module)}: must make a module when it is called; _partial_ does")
        try:
            with snt.functional.variables():
                built = module()
        except InputError as error:
            raise InputError(f"module.{error}") from error
        self._net = snt.functional.transform_with_state(lambda images: built(images, **self.arguments))
        one_image = self._inputs(self.images[:1])
        params, self._state = self._net.init(one_image)
        logits, labels = self._net.apply(params, self._state, one_image)[0].shape[-1], int(data.labels.max()) + 1
        if logits < labels:
            raise InputError(f"module: makes {logits} logits for {labels} labels: must make one for each")
        names = short_names([reference.deref().name for reference in params])
        self._references = dict(zip(names, params, strict=True))
        self.shapes = {name: reference.deref().shape for name, reference in self._references.items()}
        by_pattern = {"initial_deviations": self.initial_deviations, "initial_means": self.initial_means}
        for key, numbers in by_pattern.items():
            for pattern in numbers:
                if not any(fnmatchcase(name, pattern) for name in self.shapes):
                    raise InputError(f"{key}.{pattern}: matches none of {', '.join(self.shapes)}")

    def init(self, seed: tf.Tensor) -> Parameters:
        """θ_0, independent Gaussians, under the names of the module's variables (`linear_0/w`)."""
        params = {}
        for index, (name, shape) in enumerate(self.shapes.items()):
            mean = _matching(self.initial_means, name, 0.0)
            deviation = _matching(self.initial_deviations, name, self.initial_deviation)
            params[name] = mean + deviation * tf.random.stateless_normal(shape, seed + tf.constant([0, index]))
        return params

    def problem(self, seed: tf.Tensor) -> Any:
        """Which images the problem has: the first one's number and how many, int32 []; or nothing if it has all."""
        if self.subset is None:
            return ()
        size, begin = tf.unstack(tf.random.stateless_uniform([2], seed, alg="philox"))
        fewest, most = self.subset
        count = tf.cast(fewest * tf.exp(size * math.log((most + 1) / fewest)), tf.int32)
        count = tf.minimum(count, min(most, self.labels.shape[0]))  # `most`: rounding may have brought it one above
        spare = tf.cast(self.labels.shape[0] - count, tf.float32)
        return tf.cast(tf.round(begin * spare), tf.int32), count

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        """Mean cross entropy of the minibatch that `seed` draws."""
        first, count = problem or (0, self.labels.shape[0])
        draw = tf.random.stateless_uniform([self.batch_size], seed, 0, count, tf.int32, alg="philox")
        indices = first + draw
        logits = self.logits(params, tf.gather(self.images, indices))
        labels = tf.gather(self.labels, indices)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    def logits(self, params: Parameters, images: tf.Tensor) -> tf.Tensor:
        """The module's output [batch, classes] for uint8 images [batch, height, width, channels]."""
        by_reference = {reference: params[name] for name, reference in self._references.items()}
        return self._net.apply(by_reference, self._state, self._inputs(images))[0]

    def accuracy(self, params: Parameters) -> tf.Tensor:
        """The share of all of `data`'s images that the module classifies correctly; 1,000 at a time, to save memory."""
        right = []
        for first in range(0, self.labels.shape[0], 1000):
            chunk = slice(first, first + 1000)
            predictions = tf.argmax(self.logits(params, self.images[chunk]), axis=1, output_type=tf.int32)
            right.append(tf.cast(predictions == self.labels[chunk], tf.float32))
        return tf.reduce_mean(tf.concat(right, axis=0))

    @staticmethod
    def _inputs(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(images, tf.float32) / 255.0


def _by_pattern(key: str, numbers: Mapping[str, float] | None) -> dict[str, float]:
    """A number for each pattern."""
    instance_of(key, numbers or {}, Mapping)
    for pattern, number in (numbers or {}).items():
        if not is_number(number):
            raise InputError(f"{key}.{pattern}={shown(number)}: must be a finite number")
    return dict(numbers or {})


def _matching(numbers: Mapping[str, float], name: str, otherwise: float) -> float:
    """The number of the first pattern that the name matches."""
    return next((number for pattern, number in numbers.items() if fnmatchcase(name, pattern)), otherwise)


def _range(key: str, bounds: Sequence[int]) -> tuple[int, int]:
    """`bounds`, if they are two whole numbers above zero, in order."""
    valid = isinstance(bounds, Sequence) and len(bounds) == 2 and all(is_integer(bound) for bound in bounds)
    if not valid or not 1 <= bounds[0] <= bounds[1] <= INT32:
        raise InputError(f"{key}={shown(bounds)}: must be [fewest, most], whole numbers of at least 1")
    return bounds[0], bounds[1]
