"""The background worker, `flask work`: it does slow work, so that visitors and organizers don't wait.

`tasks.py` lists the tasks, and `task.py` explains how to write one. `loop.py` runs them, `leases.py` gives each task to
one worker at a time, and `command.py` is the command. The rules of the tasks are in the packages of their subjects;
`expiry.py`, `drafts.py`, and `export_process.py` only call them.
"""
