"""Name and order what is in an ONNX graph by the graph alone.

tf2onnx numbers its names from one model to the next and keeps constants in sets, whose order is
by chance. Equal models are to give equal files.
"""

from __future__ import annotations

import re
from typing import Any

from mejiro.export.graph import FEATURES_NAME, INPUT_NAME, OUTPUT_NAME

_NUMBER = re.compile(r"__\d+")
# What the inputs of DequantizeLinear are.
_STORED = ("stored", "scale", "zero_point")


def name_canonically(proto: Any) -> None:
    """Give every tensor of the model a name that tells its place, and sort the constants by it.

    Input and outputs are called `INPUT_NAME`, `OUTPUT_NAME` and `FEATURES_NAME`; what an operator
    computes keeps the name from the network; a constant is called after its first user and its
    place there.
    """
    graph = proto.graph
    constants = {value.name for value in graph.initializer}
    single = {value.name for value in graph.initializer if not value.dims}
    unpacking = {
        node.output[0]: node
        for node in graph.node
        if node.op_type == "DequantizeLinear" and constants.issuperset(node.input)
    }
    computing = [node for node in graph.node if node.output[0] not in unpacking]
    ends = [graph.input[0].name, *(value.name for value in graph.output)]
    names = _Names(dict(zip(ends, (INPUT_NAME, OUTPUT_NAME, FEATURES_NAME), strict=False)))
    unpacked = []
    for node in computing:
        for name in node.output:
            wanted = _NUMBER.sub("", name)
            if node.op_type == "DequantizeLinear":
                # Of equal ones tf2onnx has kept one, and its name with it.
                wanted = f"{names.given.get(node.input[0], INPUT_NAME)}.real"
                if node.input[1] in single:  # an axis says nothing then, and is there or is not
                    del node.attribute[:]
            names.give(name, wanted)
        for place, name in enumerate(node.input):
            if name in unpacking and name not in names.given:
                names.give(name, f"{names.given[node.output[0]]}.{place}")
                unpacked.append(unpacking[name])
                for kind, part in zip(_STORED, unpacking[name].input, strict=False):
                    names.give(part, f"{names.given[name]}.{kind}")
            elif name in constants:
                names.give(name, f"{names.given[node.output[0]]}.{place}")
    _apply(graph, names.given, [*unpacked, *computing])


class _Names:
    """Give each tensor one name, and no name twice."""

    def __init__(self, given: dict[str, str]) -> None:
        self.given = given
        self._taken = set(given.values())

    def give(self, old: str, wanted: str) -> None:
        """Call the tensor `old` what is wanted, or nearly so where that name is taken."""
        if old in self.given:
            return
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}__{number}"
        self.given[old] = name
        self._taken.add(name)


def _apply(graph: Any, names: dict[str, str], nodes: list[Any]) -> None:
    """Rename everything in `graph`, and let it hold `nodes` and the constants that they use."""
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for field in ("name", "domain", "doc_string"):  # an empty one may be there or not
            node.ClearField(field)
    used = {name for node in nodes for name in node.input}
    for value in (*graph.initializer, *graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    constants = sorted(
        (value for value in graph.initializer if value.name in used),
        key=lambda value: str(value.name),
    )
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
