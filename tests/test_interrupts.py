"""Ctrl-C and SIGTERM, through the real command: one line that says what is kept, and the shell's status for it."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from l2l_tf.interrupts import Terminated, one_line_interrupts

ROOT = Path(__file__).parent.parent
TRAINING = [
    *("optimizee=simple", "optimizer=linear", "schedule.steps=4", "schedule.unroll=2", "schedule.epochs=1000000"),
    *("schedule.validation.every=5", "schedule.validation.problems=1"),
]


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_interrupted_training_says_from_where_it_goes_on(
    tmp_path: Path, number: int, status: int, word: str
) -> None:
    command = [sys.executable, "-m", "experiments.train", *TRAINING, f"hydra.run.dir={tmp_path}"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    while not (tmp_path / "checkpoint.safetensors").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == status
    assert out == ""
    assert "Traceback" not in err
    line = err.splitlines()[-1]
    assert line.startswith(f"{word}: the checkpoint of meta-update ")
    assert line.endswith(" is kept; the same command goes on from there")


@pytest.mark.parametrize(("interrupt", "status"), [(KeyboardInterrupt(), 130), (Terminated(), 143)])
def test_an_interrupt_without_a_note_is_one_word(
    interrupt: KeyboardInterrupt, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end, one_line_interrupts():
        raise interrupt
    assert end.value.code == status
    assert capsys.readouterr().err in ("interrupted\n", "terminated\n")
    assert signal.getsignal(signal.SIGTERM) is before
