"""Take an image-recognition model from a workstation to a camera on a small device."""

from mejiro_runtime._version import __version__

__all__ = ["__version__"]
