"""`analyze`: why the controllers are right and wrong. Samples, then numbers, then plots, then one page.

    events.py         what happened in the game at a step: serve, bounce, brick hit, ...
    sample.py         held-out steps and what every controller said of them
    statistics.py     accuracy, distributions, calibration, temperature
    patterns.py       success and failure by what happened; which code is taken for which
    gallery.py        what each code does to a frame, drawn and named
    futures.py        four futures of one moment, real beside dreamt
    analysis.py       all of it as one JSON-ready report and the pictures that go with it
    style.py, plots.py, pictures.py, page.py, page.html    how it looks

Everything that the page shows as a number comes from the report, so the JSON holds it too.
"""
