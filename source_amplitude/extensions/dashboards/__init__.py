"""The Dashboard REST API: figures by day, week and month."""
