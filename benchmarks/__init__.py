"""Side-by-side timings of Workbench against the tools that one would use instead; run as ``python -m benchmarks``."""
