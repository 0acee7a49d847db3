"""Choose which artifact of a bundle runs here."""

from __future__ import annotations

from mejiro_runtime.backends import BACKENDS, backend_for, parse_request
from mejiro_runtime.bundle import Bundle
from mejiro_runtime.card import ArtifactCard
from mejiro_runtime.errors import BackendError, UsageError


def choose_card(
    bundle: Bundle, *, artifact: str | None = None, backend: str | None = None
) -> ArtifactCard:
    """Return the artifact called `artifact`; else the first that fits `backend` or this device.

    Without either name it is the first of the bundle whose engine is installed, in the order
    that whoever made the bundle gave. Raises UsageError if nothing fits what was asked for, and
    BackendError that names the packages if no engine is installed.
    """
    if artifact is not None:
        return bundle.card(artifact)
    cards = bundle.manifest.artifacts
    if backend is not None:
        name = backend.partition(":")[0]
        if name in BACKENDS:
            for card in cards:
                if card.format is BACKENDS[name].format:
                    return bundle.card(card.file)
            formats = ", ".join(sorted({card.format.value for card in cards}))
            raise UsageError(f"the bundle has nothing that {name} runs, it has only {formats}")
        parse_request(backend, cards[0].format)  # raises, and lists the backends
    if runnable := runnable_cards(bundle):
        return runnable[0]
    needed = sorted({card.format.value for card in cards})
    extras = {"tflite": "litert", "onnx": "onnx"}
    ways = " or ".join(f"`pip install 'mejiro-runtime[{extras[name]}]'`" for name in needed)
    raise BackendError(f"no engine is installed for the bundle's {', '.join(needed)} files; {ways}")


def runnable_cards(bundle: Bundle) -> list[ArtifactCard]:
    """Return the artifacts of `bundle` whose engine is installed here, in the bundle's order."""
    return [
        bundle.card(card.file)
        for card in bundle.manifest.artifacts
        if BACKENDS[backend_for(card.format)].load().installed()
    ]
