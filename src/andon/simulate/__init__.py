"""Networks with known ground truth: for demonstrations, tests and benchmarks."""
