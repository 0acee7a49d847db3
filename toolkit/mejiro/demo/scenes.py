"""Choose what the demonstration shows, and which answers count as right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mejiro_runtime.types import Label


@dataclass(frozen=True)
class Scene:
    """Hold one photograph of `mejiro.data.samples`, and what it is.

    `accepts` lists the WordNet synsets of ImageNet that name the thing, or come nearest to it;
    it is empty where ImageNet has no such class. `remark` says so in words, where it needs to.
    """

    sample: str
    title: str
    accepts: tuple[str, ...] = ()
    remark: str = ""

    def accepted(self, labels: Sequence[Label]) -> tuple[Label, ...]:
        """Return those of a model's `labels` that count as right here."""
        return tuple(label for label in labels if label.synset and label.synset in self.accepts)


# In the order of the video. The synsets are ImageNet's own (WordNet 3.0 noun offsets).
SCENES: tuple[Scene, ...] = (
    # tabby, tiger cat, Persian, Siamese, Egyptian cat
    Scene("cat", "Cat", ("n02123045", "n02123159", "n02123394", "n02123597", "n02124075")),
    # espresso, cup, coffee mug
    Scene("coffee", "Coffee", ("n07920052", "n07930864", "n03063599")),
    Scene(
        "motorcycle",
        "Motorcycle",
        ("n03785016", "n03791053"),
        "moped and motor scooter are the nearest classes",
    ),
    Scene("tripod", "Camera on a tripod", ("n04485082",)),
    Scene("pagoda", "Summer Palace", ("n03877845",)),
    Scene(
        "rocket",
        "Rocket",
        ("n03773504", "n04008634"),
        "missile and projectile are the nearest classes",
    ),
    Scene("flower", "Dahlia", ("n11939491",), "daisy is the nearest class"),
    Scene("uniform", "Naval uniform", ("n03763968",), "military uniform is the class"),
    Scene("astronaut", "Astronaut", (), "no class of ImageNet stands for it"),
    Scene("coins", "Coins", (), "no class of ImageNet stands for it"),
)
