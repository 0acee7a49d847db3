"""Time a file against the plain one, so that a busy moment of the machine does not decide."""

from __future__ import annotations

from collections.abc import Callable

from mejiro.model import Artifact
from mejiro.race import Conditions, Ratio, median_ratio, race

# Where an engine's threads come to run beside other programs is drawn when a file is opened, and
# may double its time until it is closed. So files are opened anew, again and again, for a few
# rounds each; and more often where the limit lies within the interval.
OPENINGS = (5, 15)
ROUNDS = 3


def time_against(
    artifact: Artifact,
    plain: Artifact,
    limit: float,
    conditions: Conditions,
    on_progress: Callable[[int, int], None],
) -> Ratio:
    """Return the time of `artifact` over that of `plain`: the median over rounds, by turns.

    It is measured further as long as it is not clear whether it exceeds `limit`, to a limit.
    `conditions` are those of one opening; `on_progress` gets (openings done, of all).
    """
    mine: list[int] = []
    others: list[int] = []
    for openings in OPENINGS:
        for number in range(openings):
            one, other = race([artifact, plain], conditions)
            mine += one.label_ns
            others += other.label_ns
            on_progress(number + 1, openings)
        found = median_ratio(mine, others)
        if not found.low <= limit <= found.high:
            break
    return median_ratio(mine, others)
