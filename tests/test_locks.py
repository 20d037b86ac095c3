"""The two lock files: the same versions, except for TensorFlow's build and CUDA's libraries."""

from pathlib import Path

ROOT = Path(__file__).parent.parent


def pins(name: str) -> set[str]:
    return set((ROOT / name).read_text().splitlines())


def test_the_gpu_lock_differs_by_tensorflow_and_cuda_alone() -> None:
    cpu, gpu = pins("requirements.lock"), pins("requirements-gpu.lock")
    assert {line.partition("=")[0] for line in cpu - gpu} == {"tensorflow", "tensorflow-cpu"}
    assert {line.partition("-")[0] for line in gpu - cpu if not line.startswith("tensorflow==")} == {"nvidia"}
