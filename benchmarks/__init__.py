"""Benchmarks: one file a case, run side by side with a peer; `script/bench [CASE [ARGUMENT ...]]`.

A case is a module whose docstring begins with one line that says what it compares, and whose `main()` prints
its figures. Cases measure; they assert nothing.
"""
