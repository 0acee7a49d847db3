"""Find out which provider of ONNX Runtime really runs each node of a model.

`get_providers` lists what a session may use, not what it uses. From 1.24 on a session tells the
provider of each node (``get_provider_graph_assignment_info``); older ones tell it in the profile
of a run, where the nodes are those after fusion.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

RECORD = "session.record_ep_graph_assignment_info"
SHOWN = 6


class Placement(NamedTuple):
    """Hold how many nodes each provider runs, and the kinds of operators that each has."""

    nodes: Mapping[str, int]
    operators: Mapping[str, tuple[str, ...]]

    @property
    def total(self) -> int:
        """How many nodes there are."""
        return sum(self.nodes.values())

    def on(self, provider: str) -> int:
        """Return how many nodes `provider` runs."""
        return self.nodes.get(provider, 0)

    def in_words(self, provider: str) -> str:
        """Say how many nodes `provider` runs, and of which kinds."""
        kinds = self.operators.get(provider, ())
        more = ", …" if len(kinds) > SHOWN else ""
        listed = f" ({', '.join(kinds[:SHOWN])}{more})" if kinds else ""
        return f"{self.on(provider)} of {self.total} nodes{listed}"


class Watch:
    """Make a session tell where its nodes run: options before it is made, an answer after."""

    def __init__(self, ort: Any, options: Any) -> None:
        self._options = options
        self._tells = hasattr(ort.InferenceSession, "get_provider_graph_assignment_info")
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Watch:
        if self._tells:
            self._options.add_session_config_entry(RECORD, "1")
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="mejiro-profile-")
            self._options.enable_profiling = True
            self._options.profile_file_prefix = str(Path(self._folder.name) / "run")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def read(self, session: Any, run_once: Callable[[], Any]) -> Placement:
        """Return where the nodes of `session` run; `run_once` runs it, where that is needed."""
        if self._tells:
            groups = session.get_provider_graph_assignment_info()
            return _counted(
                (str(group.ep_name), str(node.op_type))
                for group in groups
                for node in group.get_nodes()
            )
        try:
            run_once()
        finally:
            profile = self.leave(session)
        return read_profile(Path(profile).read_text(encoding="utf-8", errors="replace"))

    def leave(self, session: Any) -> str:
        """Let `session` go on unwatched: a profile would grow as long as it runs."""
        return "" if self._tells else str(session.end_profiling())


def read_profile(text: str) -> Placement:
    """Return the placement that a profile of ONNX Runtime tells; of each node its first event."""
    found: dict[str, tuple[str, str]] = {}
    for event in json.loads(text):
        told = event.get("args") or {}
        if event.get("cat") == "Node" and "provider" in told:
            name = str(told.get("node_index", event.get("name")))
            found.setdefault(name, (str(told["provider"]), str(told.get("op_name", ""))))
    return _counted(found.values())


def _counted(pairs: Any) -> Placement:
    listed = list(pairs)
    counts = Counter(provider for provider, _ in listed)
    operators = {
        provider: tuple(sorted({kind for one, kind in listed if one == provider and kind}))
        for provider in counts
    }
    return Placement(dict(counts), operators)
