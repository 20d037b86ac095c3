"""The notebook, every code cell in order in a process of its own, on tiny data and with an untrained optimizer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from l2l_tf.data.mnist import to_idx
from l2l_tf.optimizers import everything
from l2l_tf.serialization.trained import build_optimizer, read_variables, save_optimizer

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "experiments" / "notebooks" / "take_home.ipynb"
LSTM = {
    "_target_": "l2l_tf.optimizers.CoordinatewiseLSTM",
    "layers": [4],
    "preprocessing": {"_target_": "l2l_tf.optimizers.LogAndSign"},
    "output_scale": 0.01,
}
EXECUTE = """
import json, sys
names, parameters = {"__name__": "__main__"}, json.loads(sys.argv[2])
for cell in json.load(open(sys.argv[1]))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), names)
        if cell["id"] == "parameters":
            assert set(parameters) <= set(names)
            names |= parameters
print(json.dumps(names["runs"]))
"""


def write_data(folder: Path) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 48), ("t10k", 20)):
        labels = rng.integers(10, size=count)
        images = rng.integers(60, size=(count, 6, 6)) + 15 * labels[:, None, None]
        (folder / f"{part}-images-idx3-ubyte").write_bytes(to_idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(to_idx(labels))


def test_every_cell_runs(tmp_path: Path) -> None:
    write_data(tmp_path / "data" / "mnist")
    save_optimizer(tmp_path / "optimizer", LSTM, read_variables(everything(build_optimizer(LSTM))))
    parameters = {
        "OPTIMIZERS": [str(tmp_path / "optimizer")],
        "DATA": str(tmp_path / "data"),
        "VERIFY_DATA": False,
        "STEPS": 6,
        "BATCH": 8,
        "UNITS": 8,
    }
    finished = subprocess.run(
        [sys.executable, "-c", EXECUTE, NOTEBOOK, json.dumps(parameters)],
        cwd=NOTEBOOK.parent,
        env=os.environ | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    runs = json.loads(finished.stdout.splitlines()[-1])
    assert len(runs) == 3
    for losses, accuracy in runs.values():
        assert len(losses) == 6
        assert np.isfinite(losses).all()
        assert 0 <= accuracy <= 1
    adam, guarded, unguarded = (losses for losses, _ in runs.values())
    assert adam[0] == guarded[0] == unguarded[0]
    assert adam[1:] != guarded[1:]


def test_its_outputs_are_kept_small() -> None:
    assert NOTEBOOK.stat().st_size < 100_000
