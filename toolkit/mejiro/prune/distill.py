"""Teach a cut network to answer as the uncut one does, on pictures without labels.

Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network",
arXiv:1503.02531. Statistics of batch norms stay as they are: a few hundred pictures would move
them away from what the network was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import PruneError
from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro_runtime.card import Scores


@dataclass(frozen=True)
class Distillation:
    """Say how to distil; no `steps` is no distillation.

    The rate of Adam falls from `rate` to zero along a cosine. Pictures are mirrored, and moved
    and enlarged by at most `crop` of their side, anew in each step. `temperature` softens both
    answers.
    """

    steps: int = 0
    batch: int = 16
    rate: float = 1e-4
    temperature: float = 2.0
    crop: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch < 1:
            raise PruneError(
                f"distillation takes 0 steps or more of 1 picture or more, found {self.steps} "
                f"steps of {self.batch}"
            )
        if self.rate <= 0 or self.temperature <= 0 or not 0 <= self.crop < 1:
            raise PruneError(
                "distillation needs a rate and a temperature above 0 and a crop in [0, 1), found "
                f"{self.rate:g}, {self.temperature:g} and {self.crop:g}"
            )


def distil(
    student: Any,
    teacher: Any,
    scores: Scores,
    tensors: NDArray[np.float32],
    settings: Distillation,
    *,
    progress: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train `student` in place on `tensors` (pictures, height, width, channels).

    Returns the loss of each step, the divergence from the teacher's answers at the temperature;
    `progress` gets each step's number and loss. The same seed gives the same network.
    """
    step = _step_function(student, teacher, scores, settings)
    losses = []
    for number, batch in enumerate(_varied(tensors, settings), start=1):
        losses.append(float(step(batch)))
        if progress is not None:
            progress(number, losses[-1])
    return losses


def _step_function(student: Any, teacher: Any, scores: Scores, settings: Distillation) -> Any:
    keras, tf = load_keras(), load_tensorflow()
    ops = keras.ops
    schedule = keras.optimizers.schedules.CosineDecay(settings.rate, max(settings.steps, 1))
    optimizer = keras.optimizers.Adam(schedule)
    variables = student.trainable_variables
    optimizer.build(variables)

    def softened(answers: Any) -> Any:
        if scores is Scores.PROBABILITIES:
            answers = ops.log(ops.maximum(answers, 1e-12))
        return ops.log_softmax(answers / settings.temperature, axis=-1)

    @tf.function  # type: ignore[untyped-decorator]
    def step(batch: Any) -> Any:
        wanted = softened(teacher(batch, training=False))
        with tf.GradientTape() as tape:
            given = softened(student(batch, training=False))
            loss = ops.mean(ops.sum(ops.exp(wanted) * (wanted - given), axis=-1))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return loss

    return step


def _varied(tensors: NDArray[np.float32], settings: Distillation) -> Iterator[NDArray[np.float32]]:
    """Yield a batch for each step, every picture once before any comes again."""
    rng = np.random.default_rng(settings.seed)
    order: list[int] = []
    for _ in range(settings.steps):
        while len(order) < settings.batch:
            order += rng.permutation(len(tensors)).tolist()
        chosen, order = order[: settings.batch], order[settings.batch :]
        yield np.stack([_view(rng, tensors[index], settings.crop) for index in chosen])


def _view(
    rng: np.random.Generator, picture: NDArray[np.float32], crop: float
) -> NDArray[np.float32]:
    """Return a random part of a picture at its size, mirrored or not."""
    height, width = picture.shape[:2]
    share = 1 - crop * rng.random()
    rows, columns = max(1, round(height * share)), max(1, round(width * share))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    part = picture[top : top + rows, left : left + columns]
    if (rows, columns) != (height, width):
        resized = load_tensorflow().image.resize(part, (height, width))
        part = np.asarray(resized, np.float32)
    return part[:, ::-1] if rng.random() < 0.5 else part
