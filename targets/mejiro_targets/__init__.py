"""Hold target profiles and templates: data that the host resolves into a bundle, no code."""
