"""Benchmarks: how much load the site carries. Start with README.md."""
