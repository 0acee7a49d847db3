"""Work on a device for `mejiro deploy`: the standard library alone, Python 3.9 and newer.

The host sends this package over the connection, so a device needs nothing but Python. It never
imports `mejiro`, nor anything of a bundle: a bundle is checked before any of its code runs.
"""

from __future__ import annotations
