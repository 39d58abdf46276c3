"""Statistics for organizers: the numbers (`figures.py`), charts (`charts.py`), and maps (`maps.py`).

`roll_ups.py` counts signatures in the background, so that no page reads all of them. `roll_up_checks.py` proves and
repairs these counts.
"""
