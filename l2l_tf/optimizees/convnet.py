"""The CIFAR-10 network: convolutions with max pooling, then fully connected layers (section 3.3)."""

from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from l2l_tf.checks import at_least, shown
from l2l_tf.errors import InputError

MOST_LAYERS, MOST_UNITS = 100, 10_000


class ConvNet(snt.Module):
    """Blocks of convolution, batch norm, max pooling, ReLU; then of linear layer, batch norm, ReLU; then logits.

    The released code has the ReLU before the pooling. The two commute, and this way the ReLU has a quarter of the work.
    Its layers also have biases before batch norm, which takes them out again: their gradient is zero up to rounding.
    They stay, being among the paper's 22,762 parameters. Unlike its batch norm, this one has a scale.

    In training, batch norm uses the statistics of the batch. Sonnet's moving averages are for `is_training=False`.
    """

    def __init__(self, channels: Sequence[int], kernel: int, pool: int, units: Sequence[int], classes: int):
        super().__init__(name="convnet")
        self.pool = pool
        self.convolutions = [snt.Conv2D(size, kernel, name=f"conv_{k}") for k, size in enumerate(channels)]
        self.linears = [snt.Linear(size, name=f"linear_{k}") for k, size in enumerate(units)]
        self.norms = [
            snt.BatchNorm(create_scale=True, create_offset=True, name=f"batch_norm_{k}")
            for k in range(len(channels) + len(units))
        ]
        self.output = snt.Linear(classes, name=f"linear_{len(units)}")

    def __call__(self, images: tf.Tensor, is_training: bool = True) -> tf.Tensor:
        """Images [batch, height, width, channels] to logits [batch, classes]."""
        x = images
        norms = iter(self.norms)
        for convolution in self.convolutions:
            x = next(norms)(convolution(x), is_training)
            x = tf.nn.relu(tf.nn.max_pool2d(x, self.pool, self.pool, "SAME"))
        x = snt.flatten(x)
        for linear in self.linears:
            x = tf.nn.relu(next(norms)(linear(x), is_training))
        return self.output(x)


def convnet(
    channels: Sequence[int] = (16, 16, 16),
    kernel: int = 5,
    pool: int = 2,
    units: Sequence[int] = (32,),
    classes: int = 10,
) -> snt.Module:
    """The paper's network, its sizes those of the released code.

    Args:
        channels: of each convolution (stride 1, SAME).
        kernel: height and width of every convolution.
        pool: height, width and stride of the max pooling after each.
        units: of each fully connected layer before the logits.
        classes: how many logits: as many as the data has labels.

    Raises:
        InputError: a size is below 1.
    """
    for key, sizes in (("channels", channels), ("units", units)):
        if isinstance(sizes, str) or not isinstance(sizes, Sequence) or len(sizes) > MOST_LAYERS:
            raise InputError(f"{key}={shown(sizes)}: must be a list of at most {MOST_LAYERS} sizes")
        for size in sizes:
            at_least(key, size, 1, MOST_UNITS)
    for key, size in (("kernel", kernel), ("pool", pool), ("classes", classes)):
        at_least(key, size, 1, MOST_UNITS)
    return ConvNet(channels, kernel, pool, units, classes)
