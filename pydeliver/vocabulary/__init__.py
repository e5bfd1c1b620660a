"""What rules can say: one family of words per module, found here by name.

A family is a module with `WORDS`: fields, actions and options (see `word`). A delivery loads only the families
its plan names (`family`); the language asks for all of them (`catalogue`). Nothing here touches the world.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pydeliver.vocabulary.word import Word


def family(name: str) -> dict[str, Word]:
    """The words of one family by their names. Raises ImportError for a family that does not exist.

    `INNER` are words of the plan that no rule says.
    """
    module = __import__(f"{__name__}.{name}", fromlist=("WORDS",))
    return {word.name: word for word in (*module.WORDS, *getattr(module, "INNER", ()))}


def catalogue() -> dict[str, tuple[str, Word]]:
    """Every word of the language: name to (family, word). An option is `set NAME`, as `me` is also a field."""
    import pkgutil

    found: dict[str, tuple[str, Word]] = {}
    for entry in pkgutil.iter_modules(__path__):
        module = __import__(f"{__name__}.{entry.name}", fromlist=("WORDS",))
        for word in getattr(module, "WORDS", ()):
            name = f"set {word.name}" if type(word).__name__ == "Option" else word.name
            found[name] = (entry.name, word)
    return found
