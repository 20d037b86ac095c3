"""One look for every figure: learned optimizers solid, baselines dashed, one colour-blind-safe colour for each."""

import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from experiments.results.queries import PanelRuns
from l2l_tf.files import write_whole

# Okabe and Ito's palette; each baseline also has its own dashes, so grey print keeps them apart.
COLOURS = {
    "LSTM": "#D55E00",
    "LSTM-sub": "#000000",
    "LSTM+GAC": "#882255",
    "NTM-BFGS": "#332288",
    "NTM-L-BFGS": "#117733",
    "SGD": "#0072B2",
    "RMSprop": "#009E73",
    "ADAM": "#CC79A7",
    "NAG": "#56B4E9",
    "RMSprop with momentum": "#00573F",
    "ADAM, β2 0.95": "#7A3B62",
    "momentum": "#444444",
    "AdaGrad": "#999999",
    "BFGS": "#000000",
    "L-BFGS": "#8C6D1F",
}
DASHES = {
    "SGD": (0, (6, 1.5)),
    "RMSprop": (0, (1.5, 1)),
    "ADAM": (0, (6, 1.5, 1.5, 1.5)),
    "NAG": (0, (3, 1.5)),
    "RMSprop with momentum": (0, (1.5, 1)),
    "ADAM, β2 0.95": (0, (6, 1.5, 1.5, 1.5)),
    "momentum": (0, (6, 1.5, 1, 1.5, 1, 1.5)),
    "AdaGrad": (0, (1, 2)),
    "BFGS": (0, (4, 1, 1, 1, 1, 1)),
    "L-BFGS": (0, (2, 2)),
}
ANOTHER_LEARNED, ANOTHER_BASELINE = "#882255", "#777777"

PANEL_INCHES = 3.3, 2.9
LEGEND_INCHES = 4.6  # the width of a single panel, for a legend of three columns
LEGEND_COLUMNS = {1: 3, 2: 4}  # by number of panels; more have room for six


def applied() -> AbstractContextManager[None]:
    """Matplotlib's settings for a figure, from its making to its saving."""
    return rc_context(
        {
            "font.size": 10,
            "axes.titlesize": 11,
            "legend.fontsize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "grid.linewidth": 0.6,
            "pdf.fonttype": 42,
        }
    )


def look(optimizer: str, learned: bool) -> dict[str, Any]:
    """The line of an optimizer, as keyword arguments of ``Axes.plot``."""
    if learned:
        return {"color": COLOURS.get(optimizer, ANOTHER_LEARNED), "linestyle": "-", "linewidth": 2.0, "zorder": 3}
    colour, dashes = COLOURS.get(optimizer, ANOTHER_BASELINE), DASHES.get(optimizer, "--")
    return {"color": colour, "linestyle": dashes, "linewidth": 1.5, "zorder": 2}


PAPER: dict[str, Any] = {"linestyle": "-", "linewidth": 0.9, "alpha": 0.5, "zorder": 1}


def paper_look(optimizer: str, learned: bool) -> dict[str, Any]:
    """The thin pale line of an optimizer in the paper's own figure."""
    return {"color": look(optimizer, learned)["color"], **PAPER}


def ordered(shown: Sequence[PanelRuns]) -> dict[str, dict[str, Any]]:
    """The look of every optimizer of some panels, in the legend's order: learned first, then as in the palette."""
    learned = {name for runs in shown for name in runs.learned}
    names = {name for runs in shown for name in runs.runs}
    known = list(COLOURS)

    def place(name: str) -> tuple[bool, int, str]:
        return name not in learned, known.index(name) if name in known else len(known), name

    return {name: look(name, name in learned) for name in sorted(names, key=place)}


def panels(count: int, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """A row of empty panels; use inside ``applied()``."""
    width, height = PANEL_INCHES
    figure = Figure(figsize=(max(width * count + 0.2, LEGEND_INCHES), height + 0.5), layout="constrained")
    grid = figure.subplots(1, count, squeeze=False, sharey=share_y)
    return figure, list(grid[0])


def grid(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    """Rows of smaller empty panels, an x axis a row; use inside ``applied()``."""
    figure = Figure(figsize=(2.4 * columns + 0.4, 2.1 * rows + 0.7), layout="constrained")
    return figure, [list(row) for row in figure.subplots(rows, columns, squeeze=False, sharex="row")]


def legend(figure: Figure, looks: Mapping[str, dict[str, Any]], paper: bool = False) -> None:
    """One legend below all panels, where it covers nothing; `paper`: it explains the paper's own lines too."""
    handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    if paper:
        handles.append(Line2D([], [], label="the paper's", color="black", **PAPER))
    columns = min(len(handles), LEGEND_COLUMNS.get(len(figure.axes), 6))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, handlelength=3)


def log_y(axes: Axes, low: float, high: float) -> None:
    """A log y axis that shows low to high, with plain labels at round numbers whatever the range."""
    margin = (high / low) ** 0.04 if high > low else 1.1
    axes.set_yscale("log")
    axes.set_ylim(low / margin, high * margin)
    decades = np.log10(high / low)
    if decades >= 2.5:
        axes.yaxis.set_major_locator(LogLocator(numticks=8))
    elif decades >= 0.8:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    else:
        ticks = np.asarray(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
        axes.yaxis.set_major_locator(FixedLocator(ticks[ticks > 0].tolist()))
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.yaxis.set_minor_formatter(NullFormatter())


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write the figure as PNG and PDF, each whole or not at all; equal figures give equal bytes.

    Raises:
        InputError: a file cannot be written.
    """
    nameless = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
    paths = []
    for kind, metadata in nameless.items():
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=150, metadata=metadata)
        figure.set_layout_engine("none")  # it is laid out now, which takes as long as the drawing
        paths.append(folder / f"{name}.{kind}")
        write_whole(paths[-1], content.getvalue())
    return paths


def _plain(value: float, _: int | None = None) -> str:
    """0.05, 0.2, 10, 500; powers of ten where zeros would fill the margin."""
    if 1e-3 <= value < 1e4:
        return f"{value:g}"
    exponent = int(np.floor(np.log10(value) + 1e-9))
    digit = value / 10.0**exponent
    power = rf"10^{{{exponent}}}"
    return f"${power}$" if abs(digit - 1) < 1e-6 else rf"${digit:g}\times{power}$"
