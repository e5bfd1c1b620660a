from __future__ import annotations
def has_strays(raw): return False
def mend(grammar, source, raw, mistakes, words, actions):
    from pydeliver.language import layout
    from pydeliver.language.tree import Span
    mistakes.add(Span(1,1,1,2),"syntax","cannot be read")
    return layout.arrange([])
