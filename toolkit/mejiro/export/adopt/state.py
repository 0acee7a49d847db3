"""Find which output of a recurrent model goes into which input with the next picture."""

from __future__ import annotations

from dataclasses import replace

from mejiro.errors import UsageError
from mejiro.export.adopt.facts import ModelFacts, TensorFacts, shown
from mejiro_runtime.errors import ModelError

Links = tuple[tuple[str, str], ...]


def find_state(facts: ModelFacts, given: Links) -> tuple[Links, list[str]]:
    """Return (input, output) for each input but the picture, and how each was found.

    `given` holds what the user says. Else an input belongs to the output of its shape and type,
    and of several to the one whose name ends most like its own. Raises UsageError, which names
    the option to give, where nothing tells.
    """
    others = [one for place, one in enumerate(facts.inputs) if place != facts.picture]
    _check_given(facts, others, given)
    links = {one.name: _output_for(facts, one, dict(given)) for one in others}
    if len(set(links.values())) != len(links):
        raise UsageError(
            f"{facts.name} has inputs that one output would go into, "
            f"{', '.join(shown(one.name) for one in others[:8])}; "
            "give --state INPUT=OUTPUT for each"
        )
    why = [f"state: {shown(made)} goes into {shown(one)} with the next frame"
           for one, made in links.items()]  # fmt: skip
    return tuple(links.items()), why


def without_state(facts: ModelFacts, links: Links) -> ModelFacts:
    """Return the same facts of the outputs that are not given back."""
    kept = {made for _, made in links}
    left = [place for place, out in enumerate(facts.outputs) if out.name not in kept]
    return replace(
        facts,
        outputs=tuple(facts.outputs[place] for place in left),
        roles=tuple(left.index(place) for place in facts.roles if place in left),
    )


def _check_given(facts: ModelFacts, others: list[TensorFacts], given: Links) -> None:
    """Raise UsageError if a link names what the file does not have."""
    for one, made in given:
        if one not in {tensor.name for tensor in others}:
            names = ", ".join(shown(tensor.name) for tensor in others[:8]) or "none but the picture"
            raise UsageError(f"{facts.name} has no input {shown(one)} for --state; it has {names}")
        if made not in {tensor.name for tensor in facts.outputs}:
            names = ", ".join(shown(tensor.name) for tensor in facts.outputs[:8])
            raise UsageError(f"{facts.name} has no output {shown(made)}; it has {names}")


def _output_for(facts: ModelFacts, one: TensorFacts, given: dict[str, str]) -> str:
    """Return the name of the output that goes into the input `one`."""
    if one.name in given:
        return given[one.name]
    alike = [out for out in facts.outputs if (out.shape, out.dtype) == (one.shape, one.dtype)]
    if not alike:
        raise ModelError(
            f"{facts.name} has the input {shown(one.name)}, {one}, beside the picture, and no "
            "output like it that could be given back; it cannot be adopted"
        )
    ends = [_same_end(out.name, one.name) for out in alike]
    if ends.count(max(ends)) > 1:
        raise UsageError(
            f"{facts.name} does not tell which output goes into {shown(one.name)}; "
            f"give --state INPUT=OUTPUT, of {', '.join(shown(out.name) for out in alike[:8])}"
        )
    return alike[ends.index(max(ends))].name


def _same_end(one: str, other: str) -> int:
    """Return how many characters two names have in common at their ends."""
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        count += 1
    return count
