"""Finished results as one HTML file."""
