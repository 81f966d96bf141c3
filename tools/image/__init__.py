"""The connector's image: `python -m tools.image` builds it, `python -m tools.image.verify` tries it."""
