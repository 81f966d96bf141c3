"""`python -m source_amplitude`: the same as `source-amplitude`."""

from source_amplitude.process.run import main

if __name__ == "__main__":
    main()
