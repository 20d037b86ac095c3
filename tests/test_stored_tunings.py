"""The tunings in results/ are those that the experiments' settings ask for."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from experiments.composition import panels

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("experiment", ["quadratic", "mnist", "cifar10", "cifar10_sub5", "cifar10_sub2"])
@pytest.mark.parametrize("compile", [False, True])
def test_nothing_is_tuned_again(experiment: str, compile: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether XLA compiles the optimizee in meta-training makes no difference."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(panels, "tune", lambda *_, **__: pytest.fail("tunes again"))
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        config = compose("evaluate", [f"experiment={experiment}", f"++optimizee.compile={compile}"])
    for panel in panels.all_panels(config).values():
        rates = panels.tune_panel(config, panel)
        assert set(rates.optimizer) == set(config.baselines)
