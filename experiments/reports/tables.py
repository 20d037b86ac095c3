"""Tables from the stored curves: every claim of the paper with a verdict, final losses, transfer between data sets.

``python -m experiments.reports.tables`` reads ``results/curves`` and ``results/tuning`` and writes ``results/tables``.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.reports.intervals import (
    Interval,
    Window,
    architecture_losses,
    loss_table,
    mean_interval,
    paired_difference,
    problem_losses,
    unpaired_difference,
)
from experiments.reports.trainings import trainings_table
from experiments.results.store import (
    ACCURACIES,
    TUNING,
    is_learned,
    read_curves,
    read_parquet,
    write_table,
    write_whole,
)
from l2l_tf.errors import InputError

# The rule behind every verdict; claims.md opens with it.
RULE = """\
Every optimizer of a panel runs on the same problems (same initial parameters, same minibatches), so losses are
compared problem by problem. `best_baseline` is the tuned baseline with the lowest mean on these very problems, the
strictest choice. `difference` = `learned` - `best_baseline`, the mean over `n` problems, with its 95% percentile
bootstrap interval `ci_low` to `ci_high` (10,000 resamples of the problems, seeded). Lower is better.

`reproduced` means:

- the learned optimizer is best: `ci_high` < 0.
- 5-right, where the paper reports that the LSTM loses: `ci_low` > 0.
- figure 6 (one row a number of layers): losses are averaged over the architectures, the best baseline chosen anew for
  each; `ci_high` < 0, and the LSTM's mean is below every baseline's in more than half of the architectures.
- larger lead than on CIFAR-10: `learned` and `best_baseline` are the differences to the best baseline on this panel
  and on CIFAR-10, their difference's interval is that of two independent samples; `ci_high` < 0.
- LSTM-sub hardly worse: LSTM-sub (`learned`) has a mean no higher than the upper end of the LSTM's own 95% interval
  (`best_baseline` is the LSTM, `difference` the measured gap).
- one LSTM for all parameters worse than two (`learned` is the one, `best_baseline` the two): `ci_low` > 0.
- beyond 1,000 steps: `best_baseline` is the same optimizer's own earlier loss; `ci_high` < 0, and it diverged on no
  problem: every loss finite, and each problem's loss over the last steps below its first loss.

A run whose loss is not finite (it diverged) counts as +inf and is never dropped: a baseline that diverges on one
problem cannot be the best one (unless all do), and a learned optimizer that does cannot win. Where learned and
baseline both diverge the difference is undefined (nan), and nothing undefined, nor an interval from a single problem,
is `reproduced`.
"""

REPRODUCED = {True: "reproduced", False: "not reproduced"}

Panels = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Row:
    """One row of ``claims.csv``; the fields are its columns."""

    claim: str
    figure: str
    statement: str
    metric: str
    learned: float
    best_baseline: float
    best_baseline_name: str
    difference: float
    ci_low: float
    ci_high: float
    n: int
    verdict: str


@dataclass(frozen=True)
class Claim:
    """What the paper says of one panel, the measure that decides, and the comparison that is made of it."""

    name: str
    panel: str
    statement: str
    window: Window
    compare: Callable[["Claim", Panels], list[Row]]

    def row(
        self, learned: float, baseline: float, name: str, difference: Interval, n: int, holds: bool, metric: str = ""
    ) -> Row:
        """The claim's row; ``metric`` defaults to the window's own words."""
        ends = float(difference.mean), float(difference.low), float(difference.high)
        metric = metric or str(self.window)
        verdict = REPRODUCED[holds]
        return Row(self.name, self.panel, self.statement, metric, learned, baseline, name, *ends, n, verdict)


def best_baseline(losses: pd.DataFrame) -> str:
    """The baseline with the lowest mean of [problems, optimizers] losses; the first in the alphabet when equal."""
    baselines = [name for name in losses.columns if not is_learned(name)]
    return min(baselines, key=lambda name: losses[name].to_numpy().mean())


def lstm_against_best(claim: Claim, panels: Panels) -> tuple[pd.DataFrame, str, Interval]:
    """Losses [problems, optimizers], the best baseline's name, and the interval of LSTM minus it."""
    losses = problem_losses(panels[claim.panel], claim.window)
    best = best_baseline(losses)
    return losses, best, paired_difference(losses["LSTM"].to_numpy(), losses[best].to_numpy())


def wins(claim: Claim, panels: Panels) -> list[Row]:
    """The LSTM is below the best baseline."""
    losses, best, difference = lstm_against_best(claim, panels)
    holds = bool(difference.high < 0)
    return [claim.row(losses["LSTM"].mean(), losses[best].mean(), best, difference, len(losses), holds)]


def loses(claim: Claim, panels: Panels) -> list[Row]:
    """The LSTM is above the best baseline."""
    losses, best, difference = lstm_against_best(claim, panels)
    holds = bool(difference.low > 0)
    return [claim.row(losses["LSTM"].mean(), losses[best].mean(), best, difference, len(losses), holds)]


def wins_most_architectures(claim: Claim, panels: Panels) -> list[Row]:
    """The LSTM is below the best baseline on the average over architectures, and in most of them."""
    tables = [
        losses for _, losses in architecture_losses(panels[claim.panel], claim.window).groupby(["layers", "units"])
    ]
    names = [best_baseline(losses) for losses in tables]
    lstm = np.stack([losses["LSTM"].to_numpy() for losses in tables])  # [architectures, problems]
    best = np.stack([losses[name].to_numpy() for losses, name in zip(tables, names, strict=True)])
    won = int((lstm.mean(axis=1) < best.mean(axis=1)).sum())
    difference = paired_difference(lstm.mean(axis=0), best.mean(axis=0))
    holds = bool(difference.high < 0) and won > len(names) / 2
    metric = f"{claim.window}, averaged over architectures; LSTM below every baseline in {won} of {len(names)}"
    counts = ", ".join(f"{name} in {count}" for name, count in pd.Series(names).value_counts().items())
    return [claim.row(lstm.mean(), best.mean(), counts, difference, lstm.shape[1], holds, metric)]


def leads_more_than_on_cifar10(claim: Claim, panels: Panels) -> list[Row]:
    """The LSTM's difference to the best baseline is further below zero than on CIFAR-10."""
    if "7-left" not in panels:
        return []
    gaps, names = [], []
    for panel in (claim.panel, "7-left"):
        losses = problem_losses(panels[panel], claim.window)
        names.append(best_baseline(losses))
        with np.errstate(invalid="ignore"):
            gaps.append((losses["LSTM"] - losses[names[-1]]).to_numpy())
    difference = unpaired_difference(gaps[0], gaps[1])
    name = f"CIFAR-10: LSTM - {names[1]} (here: LSTM - {names[0]})"
    means = float(gaps[0].mean()), float(gaps[1].mean())
    return [claim.row(*means, name, difference, min(map(len, gaps)), bool(difference.high < 0))]


def sub_hardly_worse(claim: Claim, panels: Panels) -> list[Row]:
    """LSTM-sub's mean is within the LSTM's own interval, or better."""
    losses = problem_losses(panels[claim.panel], claim.window)
    if "LSTM-sub" not in losses:
        return []
    sub, lstm = losses["LSTM-sub"].to_numpy(), losses["LSTM"].to_numpy()
    holds = bool(sub.mean() <= mean_interval(lstm).high)
    return [claim.row(sub.mean(), lstm.mean(), "LSTM", paired_difference(sub, lstm), len(losses), holds)]


def one_is_not_enough(claim: Claim, panels: Panels) -> list[Row]:
    """The single LSTM for all parameters, run on the same problems, is above the two."""
    if SINGLE not in panels:
        return []
    losses = problem_losses(pd.concat([panels[claim.panel], panels[SINGLE]]), claim.window)
    single, two = losses["LSTM-single"].to_numpy(), losses["LSTM"].to_numpy()
    difference = paired_difference(single, two)
    return [claim.row(single.mean(), two.mean(), "LSTM", difference, len(losses), bool(difference.low > 0))]


def stays_stable(claim: Claim, panels: Panels) -> list[Row]:
    """A learned optimizer ends below its own loss at step 200 and diverges on no problem: a row for each one."""
    curves = panels[claim.panel]
    early, late = problem_losses(curves, Window(191, 200)), problem_losses(curves, claim.window)
    every_step = loss_table(curves)
    rows = []
    for optimizer in filter(is_learned, late.columns):
        runs = every_step.loc[optimizer].to_numpy()
        end, before = late[optimizer].to_numpy(), early[optimizer].to_numpy()
        diverged = int((~np.isfinite(runs).all(axis=1) | ~(end < runs[:, 0])).sum())
        difference = paired_difference(end, before)
        holds = bool(difference.high < 0) and diverged == 0
        metric = f"{claim.window}, against steps 191-200; diverged on {diverged} of {len(end)} problems"
        name = f"{optimizer} at steps 191-200"
        named = replace(claim, name=f"{claim.name}-{optimizer}", statement=f"{claim.statement}: {optimizer}")
        rows.append(named.row(end.mean(), before.mean(), name, difference, len(end), holds, metric))
    return rows


SINGLE = "cifar10-single"
# Panels of optimizers that were trained on other data, and the panels of the same problems that have the baselines.
TRANSFERS = {"transfer-mnist": "4-centre", "transfer-cifar10": "7-left"}
LAST_10 = Window(91, 100)
LAST_100 = Window(901, 1000)
AREA = Window(1, 1000, log=True)
FINAL = {  # the final loss of each panel
    "4-left": Window(100, 100),
    "4-centre": LAST_10,
    "4-right": Window(191, 200),
    "5-left": LAST_10,
    "5-centre": LAST_10,
    "5-right": LAST_10,
    "6-1-layer": LAST_10,
    "6-2-layer": LAST_10,
    "6-3-layer": LAST_10,
    "7-left": LAST_100,
    "7-centre": LAST_100,
    "7-right": LAST_100,
    SINGLE: LAST_100,
    "transfer-mnist": LAST_10,
    "transfer-cifar10": LAST_100,
    "beyond-1000": Window(991, 1000),
}

BEST = "The LSTM is below every tuned baseline"
CLAIMS = (
    Claim("4-left", "4-left", f"{BEST} on quadratics", FINAL["4-left"], wins),
    Claim("4-centre", "4-centre", f"{BEST} on the MNIST network it was trained for", LAST_10, wins),
    Claim("4-right", "4-right", f"{BEST} after 200 steps, trained for 100", FINAL["4-right"], wins),
    Claim("5-left", "5-left", f"{BEST} on 40 hidden units, trained on 20", LAST_10, wins),
    Claim("5-centre", "5-centre", f"{BEST} on two hidden layers, trained on one", LAST_10, wins),
    Claim("5-right", "5-right", "The LSTM, trained on sigmoids, loses to a baseline on ReLUs", LAST_10, loses),
    *(
        Claim(
            f"6-{layers}-layer",
            f"6-{layers}-layer",
            f"The LSTM is best in most architectures of {layers} hidden layer{'s' * (layers > 1)}",
            LAST_10,
            wins_most_architectures,
        )
        for layers in (1, 2, 3)
    ),
    Claim("7-left-step-100", "7-left", f"{BEST} on CIFAR-10 after 100 steps", LAST_10, wins),
    *(
        claim
        for panel, data in {"7-left": "CIFAR-10", "7-centre": "CIFAR-5", "7-right": "CIFAR-2"}.items()
        for claim in (
            Claim(f"{panel}-final", panel, f"{BEST} on {data} after 1,000 steps", LAST_100, wins),
            Claim(f"{panel}-area", panel, f"{BEST} on {data} over the whole run", AREA, wins),
        )
    ),
    *(
        claim
        for panel, data in {"7-centre": "CIFAR-5", "7-right": "CIFAR-2"}.items()
        for claim in (
            Claim(
                f"{panel}-lead",
                panel,
                f"The LSTM leads by more on {data} than on CIFAR-10",
                AREA,
                leads_more_than_on_cifar10,
            ),
            Claim(
                f"{panel}-sub",
                panel,
                f"LSTM-sub, trained on the other labels, is hardly worse than the LSTM on {data}",
                LAST_100,
                sub_hardly_worse,
            ),
        )
    ),
    *(
        Claim(f"7-left-single-{name}", "7-left", f"One LSTM for all parameters {how}", window, one_is_not_enough)
        for name, how, window in (
            ("final", "is worse than two on CIFAR-10 after 1,000 steps", LAST_100),
            ("area", "is worse than two on CIFAR-10 over the whole run", AREA),
        )
    ),
    Claim(
        "beyond-1000",
        "beyond-1000",
        "Beyond the paper: a learned optimizer improves and stays stable to ten times its training horizon",
        FINAL["beyond-1000"],
        stays_stable,
    ),
)


def claims_table(panels: Panels) -> pd.DataFrame:
    """One row for every claim about a panel that is there.

    Args:
        panels: curves by the panel's name.

    Raises:
        InputError: a panel lacks the LSTM, every baseline, or steps of a claim's window.
    """
    rows = []
    for claim in CLAIMS:
        if claim.panel in panels:
            _check_optimizers(claim.panel, panels[claim.panel])
            rows += [asdict(row) for row in claim.compare(claim, panels)]
    return pd.DataFrame(rows, columns=[field.name for field in fields(Row)])


def final_loss_table(panels: Panels, rates: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The final loss of every optimizer in every panel, and in figure 6 in every architecture.

    Args:
        panels: curves by the panel's name; one that the paper does not have is measured over its last ten steps.
        rates: the table of tuned learning rates of the panels that have one.

    Returns:
        Columns panel, optimizee, [layers, units,] optimizer, learning_rate, window, mean, ci_low, ci_high, median, n,
        diverged: the number of problems on which the loss was not finite inside the window (mean is then inf).
    """
    tables = []
    for panel, curves in panels.items():
        last = int(curves["step"].max())
        window = FINAL.get(panel, Window(max(last - 9, int(curves["step"].min())), last))
        keys = ["optimizee", *(name for name in ("layers", "units") if name in curves)]
        for architecture, group in curves.groupby(keys):
            table = _final_losses(problem_losses(group, window))
            place: dict[str, Any] = {
                "panel": panel,
                "window": str(window),
                **dict(zip(keys, architecture, strict=True)),
            }
            tables.append(_with_rates(table.assign(**place), rates.get(panel)))
    measured = ["learning_rate", "window", "mean", "ci_low", "ci_high", "median", "n", "diverged"]
    columns = ["panel", "optimizee", "layers", "units", "optimizer", *measured]
    whole = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return whole.reindex(columns=columns).astype({"layers": "Int64", "units": "Int64"})


def transfer_table(panels: Panels, rates: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Optimizers used on other data than they were trained on, beside that data's own LSTM and tuned baselines.

    Args:
        panels: curves by the panel's name; of ``TRANSFERS``, those count of which both panels are there.
        rates: as for ``final_loss_table``.

    Returns:
        Columns panel, optimizer, learning_rate, window, mean, ci_low, ci_high, median, n, diverged, and the mean
        difference to the best baseline on the same problems: best_baseline, difference, difference_low,
        difference_high.

    Raises:
        InputError: the two panels' problems or steps are not the same.
    """
    columns = ["panel", "optimizer", "learning_rate", "window", "mean", "ci_low", "ci_high", "median", "n", "diverged"]
    tables = []
    for panel, home in TRANSFERS.items():
        if panel in panels and home in panels:
            curves = pd.concat([panels[home], panels[panel]]).assign(panel=panel)
            table = final_loss_table({panel: curves}, {panel: rates[home]} if home in rates else {})[columns]
            losses = problem_losses(curves, FINAL[panel])
            best = best_baseline(losses)
            gaps = [paired_difference(losses[name].to_numpy(), losses[best].to_numpy()) for name in table.optimizer]
            ends = {"difference": "mean", "difference_low": "low", "difference_high": "high"}
            differences = {name: [float(getattr(gap, end)) for gap in gaps] for name, end in ends.items()}
            tables.append(table.assign(best_baseline=best, **differences))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def accuracy_table(accuracies: pd.DataFrame) -> pd.DataFrame:
    """The final accuracy on test images of every optimizer in every panel.

    Args:
        accuracies: one row a (panel, optimizee, optimizer, problem), columns as in ``store.ACCURACIES``.

    Returns:
        Columns panel, optimizee, optimizer, step, mean, ci_low, ci_high, n; a fraction of all test images.
    """
    rows = []
    for place, group in accuracies.groupby(["panel", "optimizee", "optimizer", "step"], sort=False):
        interval = mean_interval(group.accuracy.to_numpy(dtype=np.float64))
        rows.append((*place, float(interval.mean), float(interval.low), float(interval.high), len(group)))
    return pd.DataFrame(rows, columns=["panel", "optimizee", "optimizer", "step", "mean", "ci_low", "ci_high", "n"])


def main(results: Path = Path("results")) -> list[Path]:
    """Write the tables into ``tables/``: claims, final losses, accuracies, trainings, transfer.

    Args:
        results: the folder that has ``curves/`` and, perhaps, ``tuning/``, ``accuracy/``, ``trained/``, ``tried/``.

    Returns:
        The files' paths; the last three are only written when there is something to put into them.

    Raises:
        InputError: a stored file is bad, or a table cannot be written.
    """
    files = sorted((results / "curves").glob("*.parquet"))
    panels = {path.stem: read_curves(path) for path in files}
    tuned = {panel: results / "tuning" / f"{panel}.parquet" for panel in panels}
    rates = {panel: read_parquet(path, TUNING) for panel, path in tuned.items() if path.exists()}
    claims = claims_table(panels)
    folder = results / "tables"
    write_table(folder / "claims", claims)
    write_whole(folder / "claims.md", f"# Claims\n\n{RULE}\n{markdown(claims)}".encode())
    write_table(folder / "final_loss", final_loss_table(panels, rates))
    written = [folder / name for name in ("claims.csv", "claims.md", "final_loss.csv")]
    accuracies = [read_parquet(path, ACCURACIES) for path in sorted((results / "accuracy").glob("*.parquet"))]
    more = {
        "accuracy": accuracy_table(pd.concat(accuracies)) if accuracies else pd.DataFrame(),
        "trainings": trainings_table(results),
        "transfer": transfer_table(panels, rates),
    }
    for name, table in more.items():
        if len(table):
            write_table(folder / name, table)
            written.append(folder / f"{name}.csv")
    return written


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table, numbers to four digits."""
    lines = [list(table.columns), ["---"] * len(table.columns)]
    lines += [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row] for row in table.to_numpy()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _check_optimizers(panel: str, curves: pd.DataFrame) -> None:
    optimizers = list(curves["optimizer"].unique())
    if "LSTM" not in optimizers or all(map(is_learned, optimizers)):
        raise InputError(f"panel {panel}: needs the LSTM and a baseline, has {', '.join(optimizers)}")


def _final_losses(losses: pd.DataFrame) -> pd.DataFrame:
    interval = mean_interval(losses.to_numpy())
    return pd.DataFrame(
        {
            "optimizer": losses.columns,
            "mean": interval.mean,
            "ci_low": interval.low,
            "ci_high": interval.high,
            "median": losses.median().to_numpy(),
            "n": len(losses),
            "diverged": np.isinf(losses.to_numpy()).sum(axis=0),
        }
    )


def _with_rates(table: pd.DataFrame, rates: pd.DataFrame | None) -> pd.DataFrame:
    """Adds the chosen learning rate; the architecture is matched too where the tuning table has it."""
    if rates is None:
        return table
    keys = [key for key in ("optimizee", "optimizer", "layers", "units") if key in rates and key in table]
    chosen = rates.loc[rates["chosen"], [*keys, "learning_rate"]]
    if chosen.duplicated(keys).any():
        raise InputError(f"tuning of panel {table['panel'].iloc[0]}: two learning rates are chosen for one optimizer")
    return table.merge(chosen, on=keys, how="left")


def run() -> None:
    """The command line: ``python -m experiments.reports.tables [--results FOLDER]``."""
    parser = argparse.ArgumentParser(description="Write the tables of claims and final losses from stored curves.")
    parser.add_argument("--results", type=Path, default=Path("results"))
    try:
        for path in main(parser.parse_args().results):
            print(path)
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run()
