"""Monitoring: log lines (`logging_setup.py`) and metrics for Prometheus (`metrics.py`).

`web/request_log.py` decides what is logged about a request.
"""
