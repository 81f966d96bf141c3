"""The connector's image: `python -m image` builds it, `python -m image.verify` tries it."""
