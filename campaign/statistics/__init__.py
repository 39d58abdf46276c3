"""Statistics for organizers: the numbers (`figures.py`), charts (`charts.py`), and maps (`maps.py`)."""
