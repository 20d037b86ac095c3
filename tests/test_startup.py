"""How commands start TensorFlow: oneDNN on unless the user says otherwise, nothing on standard error, errors through.

A package that only pretends to be TensorFlow writes to file descriptor 2 as the real one's C++ does.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHATTER = (
    "import os, sys\nos.write(2, b'oneDNN custom operations are on\\n')\nprint(os.environ['TF_ENABLE_ONEDNN_OPTS'])\n"
)
START = "import experiments, tensorflow, sys; print('after', file=sys.stderr)"


def start(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Imports `experiments` and then a TensorFlow that runs `code`, with no settings but these."""
    (folder / "tensorflow").mkdir()
    (folder / "tensorflow" / "__init__.py").write_text(code)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environment = kept | environment | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return subprocess.run([sys.executable, "-c", START], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("level", [{}, {"TF_CPP_MIN_LOG_LEVEL": "1"}])
def test_onednn_is_on_and_tensorflow_starts_without_a_word(tmp_path: Path, level: dict[str, str]) -> None:
    run = start(tmp_path, CHATTER, **level)
    assert (run.returncode, run.stdout, run.stderr) == (0, "1\n", "after\n")


def test_what_the_user_has_set_stays(tmp_path: Path) -> None:
    run = start(tmp_path, CHATTER, TF_ENABLE_ONEDNN_OPTS="0", TF_CPP_MIN_LOG_LEVEL="0")
    assert (run.stdout, run.stderr) == ("0\n", "oneDNN custom operations are on\nafter\n")


def test_an_import_that_fails_is_heard(tmp_path: Path) -> None:
    run = start(tmp_path, f"{CHATTER}raise ImportError('no such library')\n")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == "ImportError: no such library"
    assert "oneDNN" not in run.stderr


def test_a_real_command_has_one_line_to_say() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    command = [sys.executable, "-m", "experiments.train", "experiment=nonsense"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith("error: experiment=nonsense: must be one of ")
    assert run.stderr.count("\n") == 1


def test_figures_are_drawn_whatever_backend_a_notebook_has_left_in_the_environment() -> None:
    code = "import experiments, matplotlib.pyplot as plt; print(plt.get_backend().lower())"
    environment = os.environ | {"MPLBACKEND": "module://no_such_module", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "agg\n"), run.stderr
