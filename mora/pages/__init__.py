"""Pages that people open in a browser: one HTML file each, that works offline and asks nothing of any network.

A page is a template of templates/, rendered by `render` with whatever scripts of static/ it needs; charts are described
in Python (`charts.Chart`) and drawn in the browser by uPlot, which travels inside the page. Text is escaped by the
templates, and the page's own policy (Content-Security-Policy) lets nothing run or load but what was rendered with it.
"""
