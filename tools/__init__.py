"""What maintains the repository, each run with `python -m tools.<name>`; the Makefile names them all."""
