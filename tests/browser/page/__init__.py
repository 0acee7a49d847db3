"""The page itself, over a stand-in for the core: what it shows, asks, keeps and sends."""
