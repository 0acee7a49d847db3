"""Go the whole way once: convert, score, bundle, run in a slim environment, and report."""

from mejiro.demo.narrator import Narrator
from mejiro.demo.results import DemoResult
from mejiro.demo.run import DemoOptions, run_demo

__all__ = ["DemoOptions", "DemoResult", "Narrator", "run_demo"]
