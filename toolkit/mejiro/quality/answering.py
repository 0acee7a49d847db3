"""Let exported files and float networks answer alike: shown a frame, they remember the best."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mejiro.model import Artifact, FloatModel
from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro_runtime.backends import BackendInfo
from mejiro_runtime.card import OutputSpec
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.postprocess.classification import read_scores, top_classes
from mejiro_runtime.preprocess import Preprocessor
from mejiro_runtime.types import Frame, Label

TOP = 5
# A network from a file is called so, whatever folder it lies in.
KERAS_FILE = "model.keras"
BATCH = 32

Subject = Artifact | FloatModel
# The indices of the best classes for one frame, best first.
Answer = tuple[int, ...]


@dataclass(frozen=True)
class EngineOptions:
    """Say which engine scores: see `mejiro_runtime.model.open_model`."""

    backend: str | None = None
    threads: int | None = None
    allow_fallback: bool = False


class Answering(Protocol):
    """Answer frames one after another; `answers` has those to all frames that were shown."""

    @property
    def info(self) -> BackendInfo:
        """What really runs it."""

    @property
    def kernel(self) -> str:
        """What makes its pixels."""

    def show(self, frame: Frame) -> None:
        """Answer one more frame."""

    def answers(self) -> list[Answer]:
        """Return the answers to all frames, in their order."""

    def close(self) -> None:
        """Give back what was opened for answering."""


def open_answering(subject: Subject, engine: EngineOptions) -> Answering:
    """Make an exported file or a float network ready to answer; `engine` is for files."""
    if isinstance(subject, Artifact):
        return ArtifactAnswering(subject, engine)
    return FloatAnswering(subject)


def file_of(subject: Subject) -> str:
    """Return the name of the file that `subject` lies in."""
    return subject.card.file if isinstance(subject, Artifact) else KERAS_FILE


def labels_of(subject: Subject) -> tuple[Label, ...]:
    """Return the classes that `subject` answers with."""
    return subject.card.labels if isinstance(subject, Artifact) else subject.labels


class ArtifactAnswering:
    """Answer with an exported file, through the engine that a device would use."""

    def __init__(self, artifact: Artifact, engine: EngineOptions) -> None:
        self._model: Model = open_model(
            artifact.path,
            artifact.card,
            backend=engine.backend,
            threads=engine.threads,
            allow_fallback=engine.allow_fallback,
            top=TOP,
        )
        self._answers: list[Answer] = []

    @property
    def info(self) -> BackendInfo:
        """What really runs the file."""
        return self._model.info

    @property
    def kernel(self) -> str:
        """What makes its pixels."""
        return self._model.preprocessor.kernel.name

    def show(self, frame: Frame) -> None:
        """Answer one more frame."""
        self._answers.append(tuple(one.label.index for one in self._model(frame).top))

    def answers(self) -> list[Answer]:
        """Return the answers to all frames, in their order."""
        return self._answers

    def close(self) -> None:
        """Give back the engine's memory."""
        self._model.close()


class FloatAnswering:
    """Answer with a Keras network, in batches, fed by the runtime's preprocessing."""

    def __init__(self, model: FloatModel) -> None:
        self._network = model.keras_model
        self._labels: tuple[Label, ...] = model.labels
        self._output = OutputSpec(scores=model.scores)
        self._preprocessor = Preprocessor(model.input)
        self._batch = np.zeros((BATCH, *model.input.shape[1:]), np.float32)
        self._waiting = 0
        self._answers: list[Answer] = []

    @property
    def info(self) -> BackendInfo:
        """What really runs the network."""
        tensorflow = load_tensorflow()
        gpus = tensorflow.config.list_physical_devices("GPU")
        # 0 means that TensorFlow takes as many as there are CPUs.
        threads = tensorflow.config.threading.get_intra_op_parallelism_threads()
        return BackendInfo(
            name="keras",
            engine="keras",
            version=f"{load_keras().__version__} on tensorflow {tensorflow.__version__}",
            accelerator="GPU" if gpus else "CPU",
            threads=threads or os.cpu_count() or 1,
            requested="keras",
        )

    @property
    def kernel(self) -> str:
        """What makes its pixels."""
        return self._preprocessor.kernel.name

    def show(self, frame: Frame) -> None:
        """Answer one more frame, once a batch is full."""
        place = self._batch[self._waiting : self._waiting + 1]
        self._preprocessor(frame.pixels, frame.order, place)
        self._waiting += 1
        if self._waiting == BATCH:
            self._answer()

    def answers(self) -> list[Answer]:
        """Return the answers to all frames, in their order."""
        self._answer()
        return self._answers

    def _answer(self) -> None:
        """Answer the frames that wait; the batch keeps its size, so that nothing is traced anew."""
        if not self._waiting:
            return
        raw = np.asarray(self._network.predict_on_batch(self._batch))
        for row in raw[: self._waiting]:
            scores = read_scores(row, self._output, None)
            best = top_classes(scores, self._labels, count=TOP)
            self._answers.append(tuple(one.label.index for one in best))
        self._waiting = 0

    def close(self) -> None:
        """Keep the network, which belongs to the caller."""
