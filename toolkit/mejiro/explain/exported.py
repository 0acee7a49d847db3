"""Look at the features that an exported file gives: through the runtime, without TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import UsageError
from mejiro.explain.subject import Seen, Slopes
from mejiro.model import Artifact
from mejiro_runtime.card import head_path
from mejiro_runtime.errors import ModelError
from mejiro_runtime.model import Model

LAYER = "features"


class ExportedSubject:
    """Answer for an artifact opened in `model`, which is closed with this; see `Subject`."""

    def __init__(self, artifact: Artifact, model: Model) -> None:
        self.artifact = artifact
        self.model = model
        self.name = artifact.card.name
        self.spec = artifact.card.input
        self.labels = artifact.card.labels
        self.background = artifact.card.output.background

    def scores(self, tensors: NDArray[Any]) -> NDArray[np.float32]:
        """See `Subject.scores`."""
        model = self.model
        return np.stack([model.probabilities(model.infer(one[None])) for one in tensors])

    def slopes(self, tensor: NDArray[Any], index: int, layer: str | None) -> Slopes:
        """See `Subject.slopes`.

        The score is the mean of the features over all places, times the head's weights: so the
        gradient is the weight over the number of places, the same everywhere.
        """
        features = self._features(tensor, layer)
        height, width, _ = features.shape
        weights = self._weights(index) / (height * width)
        gradients = np.broadcast_to(weights, features.shape).astype(np.float32)
        return Slopes(LAYER, features, gradients, computed="class activation mapping")

    def stages(self, tensor: NDArray[Any], layer: str | None) -> list[Seen]:
        """See `Subject.stages`: an exported file shows its last features alone."""
        return [Seen(LAYER, self._features(tensor, layer))]

    def __enter__(self) -> ExportedSubject:
        return self

    def __exit__(self, *reason: object) -> None:
        self.model.close()

    def _features(self, tensor: NDArray[Any], layer: str | None) -> NDArray[np.float32]:
        file = self.artifact.card.file
        if not self.artifact.card.features:
            raise UsageError(
                f"{file} gives no features; convert the model again with --with-features, explain "
                "the model itself, or use --method occlusion"
            )
        if layer not in (None, LAYER):
            raise UsageError(
                f"{file} shows its last features alone, not layer '{layer}'; explain the model "
                "itself"
            )
        features: NDArray[np.float32] = self.model.backend.infer(tensor)[1][0]
        return features

    def _weights(self, index: int) -> NDArray[np.float32]:
        """Return the head's weights (channels,) for one class."""
        path = head_path(self.artifact.path)
        try:
            weights = np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read: {error}; export it again") from None
        shape = (len(self.labels), self.artifact.card.features[2])
        if weights.shape != shape:
            raise ModelError(
                f"{path} holds weights {weights.shape}, {shape} are needed; export it again"
            )
        row: NDArray[np.float32] = weights[index].astype(np.float32)
        return row
