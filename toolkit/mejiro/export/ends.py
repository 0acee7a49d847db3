"""Change what a TFLite file takes and gives, for engines that know fewer types at their ends.

The arithmetic between the ends stays as it is: int8 becomes uint8 by an operator that adds 128 to
the stored number, which means the same real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mejiro.export.flatbuffer import TFLiteFile
from mejiro_runtime.preprocess import Quantization

# From int8 to uint8, stored numbers and zero points alike.
SHIFT = 128


class EndsFile(TFLiteFile):
    """Hold a TFLite file whose ends can be changed; each method says whether it changed any.

    A changed end keeps its name; what had it before is called that, and ``:inner``.
    """

    def take_uint8(self) -> bool:
        """Let inputs of int8 be uint8 of the same scale."""
        changed = False
        for place, end in zip(list(self._graph.inputs), self.inputs, strict=True):
            if end.dtype == "int8" and end.quantization is not None:
                outer = self._outer(int(place), "uint8", _shifted(end.quantization))
                self._graph.operators.insert(0, self._new_operator("QUANTIZE", outer, int(place)))
                self._replace(self._graph, "inputs", int(place), outer)
                changed = True
        return changed

    def give_uint8(self) -> bool:
        """Let outputs of int8 be uint8 of the same scale."""
        changed = False
        for place, end in zip(list(self._graph.outputs), self.outputs, strict=True):
            if end.dtype == "int8" and end.quantization is not None:
                outer = self._outer(int(place), "uint8", _shifted(end.quantization))
                self._graph.operators.append(self._new_operator("QUANTIZE", int(place), outer))
                self._replace(self._graph, "outputs", int(place), outer)
                changed = True
        return changed

    def give_int32(self) -> bool:
        """Let outputs of int64, and of int8 without a scale, be int32: whole numbers either way."""
        changed = False
        for place, end in zip(list(self._graph.outputs), self.outputs, strict=True):
            if end.dtype == "int64" or (end.dtype == "int8" and end.quantization is None):
                outer = self._outer(int(place), "int32", None)
                self._graph.operators.append(self._new_cast(int(place), outer))
                self._replace(self._graph, "outputs", int(place), outer)
                changed = True
        return changed

    def fix_shapes(self) -> bool:
        """Forget which sizes the file leaves open; its shapes are those of a batch of one."""
        changed = False
        for tensor in self._graph.tensors:
            signature = tensor.shapeSignature
            if signature is not None and any(int(size) < 0 for size in signature):
                changed = True
            tensor.shapeSignature = None
        return changed

    def give_shapes(self, shapes: Sequence[tuple[int, ...]]) -> bool:
        """Write the `shapes` that outputs were seen to have where the file leaves them out."""
        changed = False
        for place, shape in zip(self._graph.outputs, shapes, strict=True):
            tensor = self._graph.tensors[int(place)]
            if shape and (tensor.shape is None or len(tensor.shape) == 0):
                tensor.shape = list(shape)
                changed = True
        return changed

    def forget_signatures(self) -> bool:
        """Leave the ends in the graph's own order, which a signature may have changed."""
        had = bool(self._model.signatureDefs)
        self._model.signatureDefs = []
        return had

    def _outer(self, place: int, dtype: str, quantization: Quantization | None) -> int:
        """Add a tensor that takes the name of the one at `place`; return its place."""
        outer = self._add_tensor(place, b"outer", dtype, quantization)
        inner = self._graph.tensors[place]
        self._graph.tensors[outer].name = inner.name
        inner.name = (inner.name or b"") + b":inner"
        return outer

    def _replace(self, graph: Any, side: str, old: int, new: int) -> None:
        setattr(graph, side, [new if int(p) == old else int(p) for p in getattr(graph, side)])

    def _new_cast(self, given: int, made: int) -> Any:
        operator = self._new_operator("CAST", given, made)
        self._model.operatorCodes[operator.opcodeIndex].version = 1
        options = self._schema.CastOptionsT()
        options.inDataType = self._graph.tensors[given].type
        options.outDataType = self._graph.tensors[made].type
        operator.builtinOptionsType = self._schema.BuiltinOptions.CastOptions
        operator.builtinOptions = options
        return operator


def _shifted(quantization: Quantization) -> Quantization:
    return Quantization(quantization.scale, quantization.zero_point + SHIFT)
