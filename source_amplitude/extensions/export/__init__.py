"""The Export API: the raw events."""
