"""The paper's own curves, as they were read off its figures (`results/paper/README.md`)."""

from pathlib import Path

import numpy as np
import pandas as pd

from l2l_tf.errors import InputError

PAPER = Path(__file__).resolve().parent.parent.parent / "results" / "paper"
# Panels of ours whose curves in the paper have another name: its text says Gaussian quadratics, its curves say uniform;
# those on training images are its panels too, and so are those from another start.
THEIRS = {"4-left-uniform": "4-left", "4-left": None, "5-centre-0.14": "5-centre"}
THEIRS |= {f"{panel}-gaussian": panel for panel in ("7-left", "7-centre", "7-right")}


def paper_curves(panel: str, folder: Path = PAPER) -> pd.DataFrame:
    """The paper's curves of one of our panels: columns optimizer, step, loss, low, high; no rows if it has none.

    `step` is ours, at which θ_0 is step 0: the paper's first point of a baseline is f(θ_0), that of a learned optimizer
    f(θ_1). Figure 7's points are means of `points_mean` steps, at the last of them.
    """
    curves = _read(folder / "curves.csv")
    name = panel.removesuffix("-train")
    curves = curves[curves.panel == THEIRS.get(name, name)].drop(columns="panel")
    from_theta_0 = ~curves.optimizer.str.startswith("LSTM") & (points_mean(panel) == 1)
    return curves.assign(step=curves.step - from_theta_0.astype(int)).reset_index(drop=True)


def points_mean(panel: str) -> int:
    """Of how many steps a point of the paper's curves is the mean."""
    return 10 if panel.startswith("7-") else 1


def unit_unknown(panel: str) -> bool:
    """Whether the paper does not say in what unit a panel's losses are: only their ratios mean something then."""
    return panel.startswith("8-")


def in_our_unit(theirs: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """The paper's curves, multiplied so that its best baseline ends where the best of ours does.

    Args:
        theirs: of `paper_curves`; ours: curves in the same form, of baselines alone.
    """
    theirs_last, ours_last = (curves.sort_values("step").groupby("optimizer").loss.last() for curves in (theirs, ours))
    factor = ours_last.min() / theirs_last.reindex(ours_last.index).min()
    return theirs.assign(**{column: factor * theirs[column] for column in ("loss", "low", "high")})


def paper_figure_6(folder: Path = PAPER) -> pd.DataFrame:
    """Figure 6's points: columns optimizer, layers, units, final_loss, low, high."""
    return _read(folder / "figure_6.csv")


def distance(steps: np.ndarray, losses: np.ndarray, paper: pd.DataFrame) -> float:
    """How far a curve is from the paper's: the mean of |log10(ours / paper's)| over the steps that both have."""
    ours = pd.Series(losses, index=steps)
    both = paper[paper.step.isin(ours.index)]
    return float(np.abs(np.log10(ours.loc[both.step].to_numpy() / both.loss.to_numpy())).mean())


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: must be the paper's data ({error})") from error
