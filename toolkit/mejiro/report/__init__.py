"""Draw what was measured: pages that need no network and no script, and plots."""
