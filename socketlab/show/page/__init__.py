"""Show, as a page: the document of a run becomes HTML and pictures. Pure: no clock, no network, no Docker.

document.py   reads and refuses: JSON -> Document
data.py       the shapes of the figures in it
svg.py        what our own drawings are made of
topology.py   sockets.py   sequence.py      drawings
plotting.py   plots.py                      curves, by matplotlib
results.py    results of experiments, read back
tables.py     the numbers behind each picture
figure.py     a figure of the page: pictures and numbers, or why there are none
of_*.py       what each figure is made from
figures.py    all of them in order, each with the sentence that says what to see
build.py      all of it together
"""
