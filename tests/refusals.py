"""How tests look at bad input's one line."""

from collections.abc import Callable

import pytest

from l2l_tf.errors import InputError


def refusal(call: Callable[[], object]) -> str:
    """The line of the InputError that the call raises."""
    with pytest.raises(InputError) as caught:
        call()
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line
