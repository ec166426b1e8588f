"""Charts as shapes of an SVG picture, drawn without a plotting library.

Called by the template `items.html`, which writes the shapes; the style sheet gives them colours.
"""
