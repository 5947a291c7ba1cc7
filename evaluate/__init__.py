"""Testing and analysis: metrics, held-out runs, benchmarks."""
