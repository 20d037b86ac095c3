"""The calibration's rule: the initial deviation at which the baselines' curves are nearest to the paper's."""

import pandas as pd


def summary(distances: pd.DataFrame) -> pd.DataFrame:
    """Distances, one row per deviation, panel and optimizer, as one per deviation: of each panel, and their mean."""
    table = distances.pivot_table("distance", "deviation", "panel", "mean")
    table["mean"] = table.mean(axis=1)
    return table.assign(chosen=table["mean"] == table["mean"].min()).rename_axis(columns=None).reset_index()


def nearest(distances: pd.DataFrame) -> float:
    """The deviation with the smallest mean distance; of equals the smaller one."""
    table = summary(distances)
    return float(table.deviation[table.chosen].iloc[0])
