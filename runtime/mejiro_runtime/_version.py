"""Hold the one version number that both distributions read."""

__version__ = "0.1.0"
