"""`analyze`: why the controllers are right and wrong. Predictions, then numbers, then plots, then one page.

    analysis.py     held-out steps, and all that is made of them as one report, with the pictures that go with it
    statistics.py   accuracy, distributions, calibration, temperature, confusions
    gallery.py      what each code does to a frame, shown and named; four futures of one moment
    plots.py, page.py, page.html    how it looks

Everything that the page shows as a number comes from the report, so the JSON holds it too.
"""
