"""Show why a model answers as it does: which places of a picture speak for a class."""

from __future__ import annotations

from mejiro.explain.drawing import write_drawing
from mejiro.explain.explanation import Explanation, Request, explain
from mejiro.explain.exported import ExportedSubject
from mejiro.explain.methods import Method
from mejiro.explain.network import NetworkSubject
from mejiro.explain.occlusion import Occlusion
from mejiro.explain.subject import Subject

__all__ = [
    "ExportedSubject",
    "Explanation",
    "Method",
    "NetworkSubject",
    "Occlusion",
    "Request",
    "Subject",
    "explain",
    "write_drawing",
]
