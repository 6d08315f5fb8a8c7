"""Figures of finished results: they draw what is given and compute nothing else."""
