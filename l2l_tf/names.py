"""Variables' names without the scopes that they happen to be made in."""

import posixpath
from collections.abc import Sequence


def short_names(paths: Sequence[str], keep: int = 0) -> list[str]:
    """Names of some variables without `:0` and the scopes around all of them.

    `x/net/linear_0/w:0` and `x/net/linear_1/w:0` become `linear_0/w` and `linear_1/w`.

    Args:
        keep: how many of a variable's innermost scopes stay even if they are around all of them.
    """
    names = [path.split(":")[0] for path in paths]
    scopes = [name.rsplit("/", 1 + keep)[0] if name.count("/") > keep else "" for name in names]
    around = posixpath.commonpath(scopes) if scopes else ""
    return [name.removeprefix(f"{around}/") for name in names]
