"""The order in which passes run: `inference` and `training`, each on one screen.

A pass takes a program, which knows its target; a pass of training takes the `Draft` of a phase. Both change it in
place. Its docstring shows a program before and after, as a doctest; more cases are in `tests/pipelines`.

They are two modules so that a compilation imports only the passes that it runs.
"""
