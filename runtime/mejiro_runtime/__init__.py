"""Run an image-recognition bundle on a device: verified, timed, and never silently otherwise.

Importing this package imports the standard library alone; numpy, an inference engine and OpenCV
come in with the modules that use them.
"""

from mejiro_runtime._version import __version__

__all__ = ["__version__"]
