"""Benchmarks: running times relative to a lower bound and to other libraries, in one process.

`python -m benchmarks mix` runs one benchmark. `python -m benchmarks survey timm` tests all models
of a library. To add a benchmark, write a function that returns a `Table` and add it to
`benchmarks.bench.BENCHES`. The names of the tables in this folder contain their conditions.
"""
