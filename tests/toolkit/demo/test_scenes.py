"""Check that every scene has its photograph, and that what counts as right are ImageNet's names."""

from __future__ import annotations

from mejiro.data.samples import SAMPLES
from mejiro.demo.scenes import SCENES, Scene
from mejiro.zoo import imagenet_labels
from mejiro_runtime.types import Label


def test_every_scene_shows_another_sample() -> None:
    samples = [scene.sample for scene in SCENES]
    assert len(set(samples)) == len(samples)
    assert set(samples) <= set(SAMPLES)


def test_what_is_accepted_are_classes_of_imagenet() -> None:
    for scene in SCENES:
        found = {label.synset for label in scene.accepted(imagenet_labels())}
        assert found == set(scene.accepts)


def test_the_cat_is_a_cat_of_any_kind_and_nothing_else() -> None:
    cat = next(scene for scene in SCENES if scene.sample == "cat")
    names = {label.short for label in cat.accepted(imagenet_labels())}
    assert names == {"tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"}


def test_a_scene_without_a_class_says_so() -> None:
    for scene in SCENES:
        assert scene.accepts or "no class" in scene.remark


def test_a_label_without_synset_is_never_accepted() -> None:
    assert Scene("cat", "Cat", ("",)).accepted([Label(0, "cat")]) == ()
