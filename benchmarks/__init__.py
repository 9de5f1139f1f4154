"""Benchmarks: ratios to a physical floor and to peers, measured alternately in one process.

`python -m benchmarks mix` runs one; `python -m benchmarks survey timm` goes through the models of
a library. A new benchmark is a file with a function that returns a `Table`, and a line in
`benchmarks.bench.BENCHES`. The tables here were measured under the conditions in their names.
"""
