"""Write bundles: what goes to a device, complete, checked, and the same bytes each time."""

from mejiro.bundle.kit import TargetOptions
from mejiro.bundle.write import BundleOptions, write_bundle

__all__ = ["BundleOptions", "TargetOptions", "write_bundle"]
