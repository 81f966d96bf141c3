"""What a user runs, by `python -m examples.<name>` or the Makefile, and files to start from."""
