"""Two object-size scenarios: the same task with small and with large objects.

``run.run_scenarios`` trains, ``sprites`` and ``crops`` make the images; ``comparisons`` sets two
ordinary comparisons, of large and of small crops, side by side.
"""
