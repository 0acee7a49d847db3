"""Show a run on a web page, to nobody but those who may see it, at no cost to the run.

`sink` takes frames and results on the hot path and only stores references. All else happens in a
thread of `server`: `hub` draws and encodes a picture while somebody watches, once for all viewers,
and `viewers` sends it to those that have asked for another. `http`, `websocket` and `access` are
what a server needs of the protocols; `metrics` writes what Prometheus reads.
"""
