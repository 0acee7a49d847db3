"""Judge what was exported, through the runtime: the very code that a device runs."""
