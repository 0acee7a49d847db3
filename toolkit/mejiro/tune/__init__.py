"""Search for the settings of a training run by trials that several processes may share.

What is decided by a search is a `Space`; one trial is an ordinary run with the values that were
drawn for it. All that is known of the trials lies in a storage, which processes join by name.
"""

from __future__ import annotations

from mejiro.tune.records import State, StudyRecord, TrialRecord
from mejiro.tune.search import Job, SearchPlan, search
from mejiro.tune.space import Choices, Range, Space
from mejiro.tune.study import SharedStudy

__all__ = [
    "Choices",
    "Job",
    "Range",
    "SearchPlan",
    "SharedStudy",
    "Space",
    "State",
    "StudyRecord",
    "TrialRecord",
    "search",
]
