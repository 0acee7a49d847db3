"""Serve a site to browsers: on this machine, over USB to a phone, or over the network."""

from mejiro.serve.certificate import Identity, given_identity, own_identity
from mejiro.serve.contents import Contents, read_contents
from mejiro.serve.opening import open_contents, opened_site
from mejiro.serve.reports import Received, ReportBox
from mejiro.serve.server import ServeOptions, SiteServer

__all__ = [
    "Contents",
    "Identity",
    "Received",
    "ReportBox",
    "ServeOptions",
    "SiteServer",
    "given_identity",
    "open_contents",
    "opened_site",
    "own_identity",
    "read_contents",
]
