"""Run tf2onnx on a TFLite file, without what makes it slow on deep networks.

tf2onnx moves transposes through the graph one step at a time and after each step begins again at
the first node, and it copies the whole graph before each pass in case the pass should fail. A
network of a thousand operators then takes minutes.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

from mejiro.tensorflow import load_tensorflow

_TO_CHANNELS_LAST = [0, 2, 3, 1]


def translate(data: bytes, opset: int) -> Any:
    """Return the ONNX model of a TFLite file, as tf2onnx translates it.

    Raises whatever tf2onnx raises for a graph that it cannot translate.
    """
    from tf2onnx import optimizer, tfonnx

    tf = load_tensorflow()
    with tempfile.TemporaryDirectory() as folder, tf.Graph().as_default(), tf.device("/cpu:0"):
        path = Path(folder, "model.tflite")  # it reads from files only
        path.write_bytes(data)
        graph = tfonnx.process_tf_graph(
            None, tflite_path=str(path), opset=opset, continue_on_error=True
        )
        graph = optimizer.optimize_graph(graph, catch_errors=False, optimizers=_passes())
        return graph.make_model("model")


def _passes() -> OrderedDict[str, Any]:
    """Return tf2onnx's passes in its order, without those for loops, einsums and upsampling."""
    from tf2onnx import optimizer

    return OrderedDict(
        transpose=_transpose_optimizer(),
        fold_constants=optimizer.ConstFoldOptimizer,
        const_dequantize=optimizer.ConstDequantizeOptimizer,
        merge_duplication=optimizer.MergeDuplicatedNodesOptimizer,
        reshape=optimizer.ReshapeOptimizer,
        global_pool=optimizer.GlobalPoolOptimizer,
        q_dq=optimizer.QDQOptimizer,
        remove_identity=optimizer.IdentityOptimizer,
        remove_back_to_back=optimizer.BackToBackOptimizer,
    )


def _transpose_optimizer() -> Any:
    """Return tf2onnx's pass over transposes with the changes of `_Transposes`."""
    from tf2onnx.optimizer import TransposeOptimizer

    return type("TransposeOptimizer", (_Transposes, TransposeOptimizer), {})


_Pass: Any = object  # the class that `_Transposes` is mixed into is imported late


class _Transposes(_Pass):  # type: ignore[misc]
    """Go on where the pass has just been, and move transposes past more operators.

    These are hard swish, and products and sums with a quantized constant, where tf2onnx leaves
    one transpose before and one behind each.
    """

    def _initialize_handlers(self) -> None:
        super()._initialize_handlers()
        self._handler_map["HardSwish"] = self._simple_through_handler

    def _optimize_at_current_graph_level(self, graph: Any) -> Any:
        from tf2onnx.optimizer.transpose_optimizer import is_transpose, is_useless_transpose

        self._g = graph
        self.pre_optimize_action()
        acted = True
        while acted:
            acted = False
            for node in list(self.nodes):
                if self._is_there(node) and is_transpose(node):
                    moved = self._handle_nhwc_tranpose(node)
                    self.graph_been_opt |= moved
                    acted |= moved
                if self._is_there(node) and is_useless_transpose(node):
                    self._remove_useless_tranpose(node)
                    acted = True
        self.merge_duplicated_transposes()
        self.post_optimize_action()
        return self._g

    def _is_there(self, node: Any) -> bool:
        """Say whether no step before has removed `node`."""
        return self._g.get_node_by_name(node.name) is node

    def _mul_handler(self, trans: Any, node: Any) -> Any:
        return self._past_constant(trans, node) or super()._mul_handler(trans, node)

    def _add_handler(self, trans: Any, node: Any) -> Any:
        return self._past_constant(trans, node) or super()._add_handler(trans, node)

    def _past_constant(self, trans: Any, node: Any) -> bool:
        """Move `trans` behind `node`, if all else that goes in is one value a channel."""
        others = [place for place in (0, 1) if node.input[place] != trans.output[0]]
        if len(others) != 1 or trans.get_attr_value("perm") != _TO_CHANNELS_LAST:
            return False
        (place,) = others
        constant = self._channels_first(node.inputs[place])
        if constant is None or not self._nodes_has_single_consumer_node([trans]):
            return False
        self._g.replace_input(node, node.input[place], constant, place)
        return bool(self._switch_transpose_and_node(node, trans))

    def _channels_first(self, maker: Any) -> str | None:
        """Return the name of the quantized constant (channels,) made (channels, 1, 1), or None.

        It is copied, since equal constants are shared.
        """
        from tf2onnx import utils

        if maker is None or maker.type != "DequantizeLinear":
            return None
        stored, scale = maker.inputs[:2]
        if not (stored.is_const() and scale.is_const()):
            return None
        values = stored.get_tensor_value(as_list=False)
        per_channel = scale.get_tensor_value(as_list=False).size != 1
        if per_channel or values.size != max(values.shape[-1:], default=1):
            return None
        moved = self._g.make_const(utils.make_name(stored.name), values.reshape(-1, 1, 1))
        node = self._g.make_node(
            "DequantizeLinear",
            [moved.output[0], *maker.input[1:]],
            shapes=[list(moved.output_shapes[0])],
            dtypes=[self._g.get_dtype(maker.output[0])],
        )
        return str(node.output[0])
