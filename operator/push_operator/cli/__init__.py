"""The command line: `push`."""
