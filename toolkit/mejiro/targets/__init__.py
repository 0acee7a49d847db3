"""Know the devices that a bundle can be made for.

A profile is a TOML file of `mejiro_targets`, or one that the user wrote. A bundle resolves it
into files, so no device ever reads one.
"""

from mejiro.targets.profile import (
    AddOn,
    AppForm,
    AppTarget,
    Architecture,
    PackageManager,
    Provided,
    Quantization,
    ServiceManager,
    TargetBackend,
    TargetProfile,
    TargetSystem,
)
from mejiro.targets.reading import (
    app_names,
    load_profile,
    load_target,
    profile_names,
    read_profile,
    target_names,
)

__all__ = [
    "AddOn",
    "AppForm",
    "AppTarget",
    "Architecture",
    "PackageManager",
    "Provided",
    "Quantization",
    "ServiceManager",
    "TargetBackend",
    "TargetProfile",
    "TargetSystem",
    "app_names",
    "load_profile",
    "load_target",
    "profile_names",
    "read_profile",
    "target_names",
]
