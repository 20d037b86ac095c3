"""The rule alone, on losses that are known: which rounds it asks for, and what it chooses."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2l_tf.errors import InputError
from l2l_tf.evaluation.tuning_rule import tune


def bowl(rates: list[float], problems: int) -> list[float]:
    """Best at a rate of 0.1."""
    return [abs(np.log10(rate) + 1) for rate in rates]


def test_the_grid_is_one_round_and_the_final_ones_another() -> None:
    rounds: list[tuple[list[float], int]] = []

    def run(rates: list[float], problems: int) -> list[float]:
        rounds.append((rates, problems))
        return bowl(rates, problems)

    rates = tune(run, 1e-2, 1.0, 1, problems=2, finals=5)
    assert rounds == [([0.01, 0.1, 1.0], 2), ([0.01, 0.1, 1.0], 5)]
    assert rates.learning_rate[rates.chosen].tolist() == [0.1]
    assert rates.n.tolist() == [5, 5, 5]


@pytest.mark.parametrize("worst", [np.nan, np.inf])
def test_what_is_not_finite_counts_as_inf(worst: float) -> None:
    rates = tune(lambda rates, _: [worst if rate > 0.5 else bowl([rate], 1)[0] for rate in rates], 1e-2, 1.0, 1, 1)
    assert rates.loss.tolist() == [1.0, 0.0, np.inf]


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, np.inf]), min_size=9, max_size=9), st.integers(0, 8), st.integers(0, 8))
def test_the_chosen_rate_is_no_worse_than_its_neighbours_and_the_replay_is_the_same(
    losses: list[float], one: int, other: int
) -> None:
    stored = {round(10.0 ** (k - 4), 12): loss for k, loss in enumerate(losses)}
    first, last = sorted((one, other))
    arguments = (lambda rates, _: [stored[round(rate, 12)] for rate in rates], 10.0 ** (first - 4), 10.0 ** (last - 4))
    try:
        rates = tune(*arguments, 1, 1)
    except KeyError:  # it wants to know more than is stored
        return
    place = int(np.argmax(rates.chosen))
    near = rates.loss.iloc[place - 1 : place + 2]
    assert len(near) == 3
    assert near.iloc[1] == near.min()
    assert near.iloc[0] > near.iloc[1] or np.isinf(near.iloc[1])
    assert rates.equals(tune(*arguments, 1, 1))


def test_no_best_rate_is_one_clear_line() -> None:
    with pytest.raises(InputError, match=r"best rate 1e-10 \(loss 1\) is at the grid's edge, and the grid is as wide"):
        tune(lambda rates, _: [1.0] * len(rates), 0.1, 1.0, 1, 1)


def test_it_needs_no_tensorflow() -> None:
    code = "import sys, l2l_tf.evaluation.tuning_rule; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_where_the_whole_grid_diverges_lower_rates_are_run_on_few_problems_until_one_does_not() -> None:
    rounds: list[tuple[list[float], int]] = []

    def run(rates: list[float], problems: int) -> list[float]:
        rounds.append((rates, problems))
        return [np.inf if rate > 2e-3 else abs(np.log10(rate) + 4) for rate in rates]

    rates = tune(run, 0.1, 1.0, 1, problems=2, finals=5)
    assert rounds[1:3] == [([0.01], 2), ([0.001], 2)]
    assert [problems for _, problems in rounds[3:]] == [5] * (len(rounds) - 3)
    assert rates.learning_rate[rates.chosen].item() == pytest.approx(1e-4)
