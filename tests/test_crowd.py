"""A store that several processes fill at once."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_processes_that_write_one_store_leave_whole_runs_even_where_some_are_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.crowd", str(tmp_path), "6", "20"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    outcome = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+),", finished.stdout)}
    assert outcome["whole"] == 20
    assert outcome["writes"] <= 20 * 6
    assert outcome["left"] <= outcome["killed"] <= 1
