"""Benchmarks of running time, compared with a lower bound and with other libraries.

`python -m benchmarks mix` runs one benchmark. `python -m benchmarks survey timm` tests all models
of a library. To add a benchmark, write a function that returns a `Table` and add it to
`benchmarks.bench.BENCHES`. The file name of a table has its conditions: CPU, threads, torch.
"""
