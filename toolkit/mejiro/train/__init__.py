"""Train on a user's own pictures, and measure what was learnt."""

from __future__ import annotations

from mejiro.train.folder import Run, open_run
from mejiro.train.settings import Settings
from mejiro.train.training import Conduct, train

__all__ = ["Conduct", "Run", "Settings", "open_run", "train"]
