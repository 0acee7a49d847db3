"""Hold what differs between devices, as data: templates now, profiles beside them."""
