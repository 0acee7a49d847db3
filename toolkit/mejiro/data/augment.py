"""Vary training pictures inside the training graph, cheaply and repeatably.

All that moves pixels is one affine transform, all that recolours them one matrix for each
picture, so that a batch is resampled once and passes through memory few times. Whatever is drawn
comes from one Keras seed generator, whose state is a variable of the layer: to restore the
variables is to repeat the batches, bit for bit.
"""

from __future__ import annotations

from typing import Any

from mejiro.data.augmentation import Augmentation
from mejiro.data.colour import recolour
from mejiro.data.draws import Draws
from mejiro.data.geometry import move
from mejiro.data.mixing import erase, mix
from mejiro.data.randaugment import draw_randaugment
from mejiro.tensorflow import load_keras
from mejiro_runtime.types import PixelOrder


def augmentation_layer(
    augmentation: Augmentation, *, seed: int, order: PixelOrder = PixelOrder.RGB
) -> Any:
    """Return a Keras layer that varies a batch: ``call({"images", "labels"}, training=True)``.

    ``images`` is (N, H, W, C), 0..255, of any number type, its channels in `order`; ``labels`` is
    one-hot (N, classes). The result has both as float32, the labels soft where pictures are
    mixed. With ``training=False`` nothing is changed. The layer's one variable, the state of what
    is drawn, is all that it keeps. It goes into graphs, where N, H and W may be unknown.
    """
    keras = load_keras()
    layer: Any = keras.layers.Layer

    class Augment(layer):  # type: ignore[misc]
        """Vary a batch of pictures; see `augmentation_layer`."""

        def __init__(self) -> None:
            super().__init__(name="augmentation", dtype="float32", trainable=False)
            self.seed_generator = keras.random.SeedGenerator(seed)

        def call(self, batch: dict[str, Any], training: bool = False) -> dict[str, Any]:
            """See `augmentation_layer`."""
            images = keras.ops.cast(batch["images"], "float32")
            labels = keras.ops.cast(batch["labels"], "float32")
            if training and augmentation.any:
                draws = Draws(keras, self.seed_generator, keras.ops.shape(images)[0])
                images, labels = _augmented(images, labels, augmentation, draws, order)
            return {"images": images, "labels": labels}

    return Augment()


def _augmented(
    images: Any, labels: Any, augmentation: Augmentation, draws: Draws, order: PixelOrder
) -> tuple[Any, Any]:
    """Return the batch varied: places first, then values, then what mixes pictures."""
    extra = draw_randaugment(augmentation.randaugment, draws)
    if augmentation.moves:
        images = move(images, augmentation, extra, draws)
    if augmentation.recolours:
        images = recolour(images, augmentation, extra, draws, order)
    if augmentation.erasing:
        images = erase(images, augmentation.erasing, draws)
    if augmentation.mixes:
        images, labels = mix(images, labels, augmentation.mixup, augmentation.cutmix, draws)
    return images, labels
