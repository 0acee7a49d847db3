"""Turn raw outputs into answers: one file per task."""
