"""`--help` of a command says what it does and its main keys, and not the whole configuration."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = ("train", "tune", "evaluate", "reproduce", "verify", "diagnose", "data", "bench")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_docstring_ends_with_main_keys(command: str) -> None:
    text = ast.get_docstring(ast.parse((ROOT / "experiments" / f"{command}.py").read_text(encoding="utf-8")))
    assert text is not None
    keys = text.partition("Main keys:\n")[2].splitlines()
    assert 2 <= len(keys) <= 4
    assert all(line.startswith("    ") for line in keys)
    assert "$" not in text  # which Hydra's templates would take for a name


def test_help_is_the_docstring() -> None:
    command = [sys.executable, "-m", "experiments.data", "--help"]
    help_text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert help_text.startswith("Puts the data sets on disk")
    assert "Main keys:\n" in help_text
    assert "sets: " not in help_text
