"""The tables of the generated pages, by topic, and the templates that they go into.

A template is Markdown with ``{{ module.function argument ... }}``: the text that the function of
that module of this package returns.
"""
