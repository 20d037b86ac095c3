"""Several optimizees at once (the released code's `problems.ensemble`)."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from l2l_tf.checks import at_least, instance_of
from l2l_tf.errors import InputError
from l2l_tf.optimizees.base import Optimizee, Parameters

STREAM = 0x1E3779B1  # added to a seed's key once for each member, so that members draw independently


class Ensemble(Optimizee):
    """f(θ) = Σ_k weight_k · f_k(θ_k): each member has parameters, data and minibatches of its own.

    Member k's parameters are named `k/name`, so that an optimizer may have groups such as `0/*`. A member's weight
    multiplies the gradients that the optimizer sees, as in the released code.

    Args:
        members: the optimizees, at least one.
        weights: one a member, above 0; None: 1 each, as in the released code.

    Raises:
        InputError: no members, or weights that are not as many or not above 0.
    """

    def __init__(self, members: Sequence[Optimizee], weights: Sequence[float] | None = None):
        if isinstance(members, str | Mapping) or not isinstance(members, Sequence) or not members:
            raise InputError(f"members={members}: must be a list of at least one optimizee")
        for member in members:
            instance_of("members", member, Optimizee)
        self.members = list(members)
        given = [1.0] * len(members) if weights is None else weights
        self.weights = [at_least("weights", weight, 0.0) for weight in given]
        if len(self.weights) != len(members) or 0.0 in self.weights:
            raise InputError(f"weights={weights}: must be {len(members)} numbers above 0, one a member")
        self.vectorize = all(member.vectorize for member in members)
        self.compile = all(member.compile for member in members)

    def init(self, seed: tf.Tensor) -> Parameters:
        """θ_0 of every member."""
        return {
            f"{k}/{name}": tensor
            for k, member in enumerate(self.members)
            for name, tensor in member.init(of_member(seed, k)).items()
        }

    def problem(self, seed: tf.Tensor) -> Any:
        """Every member's problem."""
        return tuple(member.problem(of_member(seed, k)) for k, member in enumerate(self.members))

    def loss(self, params: Parameters, problem: Any, seed: tf.Tensor) -> tf.Tensor:
        """The weighted sum of the members' losses."""
        problem = problem or ((),) * len(self.members)  # a batch of problems without any tensors is just ()
        return tf.add_n(
            [
                weight * member.loss(self.params_of(k, params), problem[k], of_member(seed, k))
                for k, (member, weight) in enumerate(zip(self.members, self.weights, strict=True))
            ]
        )

    def params_of(self, k: int, params: Parameters) -> Parameters:
        """Member k's parameters, under its own names."""
        prefix = f"{k}/"
        return {name.removeprefix(prefix): tensor for name, tensor in params.items() if name.startswith(prefix)}


def of_member(seed: tf.Tensor, k: int) -> tf.Tensor:
    """Member k's seed, int32 [2]; the first member's is the ensemble's own."""
    return seed + tf.stack([tf.constant(k, seed.dtype) * STREAM, tf.constant(0, seed.dtype)])
