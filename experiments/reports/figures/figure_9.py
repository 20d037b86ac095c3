"""Figure 9 and appendix C: content, result and style, side by side; and the same contents by ADAM."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.reports.claims import Stored
from experiments.reports.figures import style
from l2l_tf.errors import InputError
from l2l_tf.files import load_arrays

PANELS = {"8-left": "Training style, 64 px", "8-right": "New style, 128 px"}
INCHES = 1.25  # of an image


def draw(results: Path, stored: Stored, paper: bool = True) -> list[Path]:
    """Draws figure 9 (one content), appendix C (the others) and a sheet with ADAM's results; returns the files written.

    Raises:
        InputError: the stored pictures are damaged.
    """
    del stored, paper
    path = results / "pictures" / "neural_art.safetensors"
    if not path.exists():
        return []
    pictures = load_arrays(path)
    panels = [panel for panel in PANELS if f"{panel}/content" in pictures]
    lacking = [f"{panel}/{kind}" for panel in panels for kind in ("LSTM", "style")]
    lacking = [name for name in lacking if name not in pictures]
    if lacking or not panels:
        raise InputError(f"{path}: lacks {', '.join(lacking) or 'contents'}")
    count = len(pictures[f"{panels[0]}/content"])
    sheets: list[tuple[str, Sequence[int], Sequence[str]]] = [
        ("figure_9", range(1), ["content", "LSTM", "style"]),
        ("appendix_c", range(1, count), ["content", "LSTM", "style"]),
    ]
    if all(f"{panel}/ADAM" in pictures for panel in panels):
        sheets.append(("appendix_c_adam", range(count), ["content", "LSTM", "ADAM", "style"]))
    return [
        path
        for name, rows, kinds in sheets
        if len(rows)
        for path in sheet(results, name, pictures, panels, rows, kinds)
    ]


def sheet(
    results: Path,
    name: str,
    pictures: Mapping[str, np.ndarray],
    panels: Sequence[str],
    rows: Sequence[int],
    kinds: Sequence[str],
) -> list[Path]:
    """A row for each content, with its images in both styles."""
    columns = len(panels) * len(kinds)
    with style.applied():
        figure = Figure(figsize=(INCHES * columns + 0.3, INCHES * len(rows) + 0.4), layout="constrained")
        grid = figure.subplots(len(rows), columns, squeeze=False)
        for row, number in enumerate(rows):
            for group, panel in enumerate(panels):
                for place, kind in enumerate(kinds):
                    axes = grid[row][group * len(kinds) + place]
                    images = pictures[f"{panel}/{kind}"]
                    show(axes, images if kind == "style" else images[number])
                    if row == 0:
                        axes.set_title(kind if place else f"{PANELS[panel]}\n{kind}", fontsize=8)
        return style.save(figure, results / "figures", name)


def show(axes: Axes, image: np.ndarray) -> None:
    """One image, its pixels unscaled."""
    axes.imshow(image, interpolation="nearest")
    axes.set_axis_off()
