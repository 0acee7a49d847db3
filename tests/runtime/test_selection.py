"""The artifact that runs is the one asked for, or the first that can run here."""

from __future__ import annotations

from types import ModuleType

import pytest

from mejiro_runtime.backends import BACKENDS
from mejiro_runtime.errors import BackendError, UsageError
from mejiro_runtime.selection import choose_card, runnable_cards

BOTH = ("colours.onnx", "colours.tflite")


@pytest.fixture
def engines(monkeypatch):
    """Return a function that says which backends have an engine here."""

    def install(**present: bool) -> None:
        for name, row in BACKENDS.items():
            module = row.load()
            found = ("some",) if present.get(name) else ()
            monkeypatch.setattr(module, "installed", lambda found=found: found)

    return install


def test_the_first_that_has_an_engine_runs(handmade, engines) -> None:
    bundle = handmade.open(files=BOTH)
    engines(litert=True, onnxruntime=True)
    assert choose_card(bundle).file == "colours.onnx"
    assert [card.file for card in runnable_cards(bundle)] == list(BOTH)
    engines(litert=True)
    assert choose_card(bundle).file == "colours.tflite"
    assert [card.file for card in runnable_cards(bundle)] == ["colours.tflite"]
    assert choose_card(bundle).labels == handmade.labels


def test_no_engine_names_what_to_install(handmade, engines) -> None:
    engines()
    with pytest.raises(BackendError, match=r"mejiro-runtime\[onnx\].*mejiro-runtime\[litert\]"):
        choose_card(handmade.open(files=BOTH))
    with pytest.raises(BackendError) as caught:
        choose_card(handmade.open(name="other", files=("colours.tflite",)))
    assert "[onnx]" not in str(caught.value)


def test_a_name_wins_over_the_order(handmade, engines) -> None:
    engines()
    bundle = handmade.open(files=BOTH)
    assert choose_card(bundle, artifact="colours.tflite").file == "colours.tflite"
    with pytest.raises(UsageError, match="no artifact 'cat'"):
        choose_card(bundle, artifact="cat")


def test_a_backend_takes_the_first_file_that_it_runs(handmade, engines) -> None:
    engines(onnxruntime=True)
    bundle = handmade.open(files=BOTH)
    assert choose_card(bundle, backend="litert:xnnpack").file == "colours.tflite"
    with pytest.raises(UsageError, match="nothing that onnxruntime runs, it has only tflite"):
        choose_card(handmade.open(name="one"), backend="onnxruntime")
    with pytest.raises(UsageError, match="no backend 'tensorrt'; use one of litert, onnxruntime"):
        choose_card(bundle, backend="tensorrt")


def test_the_engines_of_this_machine_are_looked_up(handmade) -> None:
    bundle = handmade.open(files=BOTH)
    wanted = [
        card.file
        for card in bundle.manifest.artifacts
        for row in BACKENDS.values()
        if row.format is card.format and isinstance(row.load(), ModuleType)
        if row.load().installed()
    ]
    assert [card.file for card in runnable_cards(bundle)] == wanted
