"""The kinds of jobs: a module for each, with a coroutine function that does one from wherever it is to its end."""
