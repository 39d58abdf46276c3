"""The background worker, `flask work`: it does what no visitor or organizer should wait for.

`tasks.py` lists the tasks; add yours there. `loop.py` runs them, `leases.py` gives each task to one worker at a time,
and `command.py` is the command. The tasks' rules are in the packages of their subjects.
"""
