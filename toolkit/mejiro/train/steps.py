"""Compile what runs for each batch: one training step, and the answers to a batch of pictures.

Pixels enter as uint8, straight from the memory map; all that happens to them happens in the
graph, so no set of pictures is ever held as floats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro.train.batches import take
from mejiro_runtime.preprocess import InputSpec

Answers = Callable[[NDArray[Any]], NDArray[Any]]


class Sums(NamedTuple):
    """Hold what was counted over pictures: their losses added up, right answers, their number."""

    loss: float = 0.0
    right: int = 0
    pictures: int = 0

    def plus(self, other: Sums) -> Sums:
        """Return both together."""
        return Sums(
            self.loss + other.loss, self.right + other.right, self.pictures + other.pictures
        )

    @property
    def mean_loss(self) -> float:
        """The mean loss of a picture."""
        return self.loss / max(1, self.pictures)

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / max(1, self.pictures)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Say what enters a network and what is done to it first, inside the graph.

    `spec` is None where the rows are features, which enter as they are. `augmentation` is a
    layer as `mejiro.data.augment.augmentation_layer` makes it, or None.
    """

    spec: InputSpec | None
    augmentation: Any = None

    def prepare(self, rows: Any, labels: Any, *, training: bool) -> tuple[Any, Any]:
        """Return what the network is given for `rows`, and the labels that go with it."""
        ops = load_keras().ops
        values = ops.cast(rows, "float32")
        if self.spec is None:
            return values, labels
        if training and self.augmentation is not None:
            varied = self.augmentation({"images": values, "labels": labels}, training=True)
            values, labels = varied["images"], varied["labels"]
        scale = np.array(self.spec.scale, np.float32)
        return values * scale + np.array(self.spec.offset, np.float32), labels


class TrainStep:
    """Train on one batch at a call: ``step(rows, truth, rate)`` returns what was counted.

    `rows` are uint8 pictures or float32 features, `truth` int32 (N,). `teach` is a function of
    what the network is given to a teacher's logits, which `losses` then takes as a third argument.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        losses: Callable[..., Any],
        inputs: Inputs,
        strategy: Any,
        teach: Callable[[Any], Any] | None = None,
    ) -> None:
        self._model, self._optimizer, self._inputs = model, optimizer, inputs
        self._teach = teach
        self._losses, self._strategy = losses, strategy
        self._classes = model.outputs[0].shape[-1]
        tf = load_tensorflow()
        shape = model.inputs[0].shape
        kind = tf.float32 if inputs.spec is None else tf.uint8
        signature = [
            tf.TensorSpec(shape, kind),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((), tf.float32),
        ]
        self._replicas = strategy.num_replicas_in_sync
        if self._replicas == 1:
            self._run = compiled(self._step, signature)
        else:
            self._run = tf.function(self._spread, autograph=False, reduce_retracing=True)

    def __call__(self, rows: NDArray[Any], truth: NDArray[np.int32], rate: float) -> Sums:
        """Take one step; see the class."""
        self._optimizer.learning_rate.assign(rate)
        tensor = load_tensorflow().convert_to_tensor
        part = tensor if self._replicas == 1 else self._part
        loss, right = self._run(part(rows), part(truth), tensor(np.float32(len(truth))))
        return Sums(float(loss), int(right), len(truth))

    def _step(self, rows: Any, truth: Any, pictures: Any) -> tuple[Any, Any]:
        """Change the weights by the mean loss over `pictures`, this replica's share of it."""
        tf, ops = load_tensorflow(), load_keras().ops
        labels = ops.one_hot(truth, self._classes, dtype="float32")
        values, labels = self._inputs.prepare(rows, labels, training=True)
        taught = () if self._teach is None else (self._teach(values),)
        with tf.GradientTape() as tape:
            logits = self._model(values, training=True)
            total = ops.sum(self._losses(labels, logits, *taught))
            scaled = self._optimizer.scale_loss(total / pictures)
        variables = self._model.trainable_variables
        self._optimizer.apply(tape.gradient(scaled, variables), variables)
        right = ops.equal(ops.argmax(logits, axis=-1), ops.argmax(labels, axis=-1))
        return total, ops.sum(ops.cast(right, "int32"))

    def _part(self, values: NDArray[Any]) -> Any:
        """Return `values` as one part for each replica."""
        tf = load_tensorflow()
        parts = np.array_split(values, self._replicas)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )

    def _spread(self, rows: Any, truth: Any, pictures: Any) -> tuple[Any, Any]:
        total, right = self._strategy.run(self._step, args=(rows, truth, pictures))
        add = load_tensorflow().distribute.ReduceOp.SUM
        reduce = self._strategy.reduce
        return reduce(add, total, axis=None), reduce(add, right, axis=None)


def compile_answers(model: Any, spec: InputSpec | None) -> Answers:
    """Return a function of rows that gives the outputs of `model` for them, without dropout."""
    tf = load_tensorflow()
    inputs = Inputs(spec)
    kind = tf.float32 if spec is None else tf.uint8

    def answers(rows: Any) -> Any:
        values, _ = inputs.prepare(rows, None, training=False)
        return model(values, training=False)

    run = compiled(answers, [tf.TensorSpec(model.inputs[0].shape, kind)])

    def call(rows: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = run(tf.convert_to_tensor(rows)).numpy()
        return found

    return call


def compiled(function: Callable[..., Any], signature: Sequence[Any]) -> Any:
    """Return `function` as one graph, which takes tensors as `signature` has them.

    TensorFlow warns of a function that is traced often, and takes those of several phases, or of
    several runs in one process, for one.
    """
    tf = load_tensorflow()
    whole = tf.function(function, input_signature=signature, autograph=False)
    return whole.get_concrete_function()


def answer_all(
    answers: Answers,
    rows: NDArray[Any],
    batch_size: int,
    on_batch: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """Return the answers to all `rows`; `on_batch` gets the number of rows that are done."""
    found = []
    for start in range(0, len(rows), batch_size):
        part = take(rows, np.arange(start, min(start + batch_size, len(rows))))
        found.append(answers(part))
        on_batch(start + len(part))
    return np.concatenate(found).astype(np.float32, copy=False)
