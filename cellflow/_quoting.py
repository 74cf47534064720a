"""Split text into values at `&`, `,` and `=`, except inside quotes."""

from __future__ import annotations

from cellflow._errors import InputError

_QUOTES = "'\""
_SPECIAL = "&,="


def split_text(text: str, separator: str, most: int = -1) -> list[str]:
    """Split text at a separator outside quotes, at most `most` times; quotes are kept.

    A value is quoted if its first character is `'` or `"`; a doubled quote inside is the quote
    itself. Quotes at other places, as in `Crohn's disease`, are characters as any other.

    Raises
    ------
    InputError
        If a quote is not closed, or text follows it.
    """
    parts: list[str] = []
    start, k, begins = 0, 0, True
    while k < len(text):
        character = text[k]
        if character in _QUOTES and begins:
            k = _end_of_quotes(text, k)
            begins = False
            continue
        if character == separator and most != len(parts):
            parts.append(text[start:k])
            start = k + 1
        begins = character in _SPECIAL or (begins and character.isspace())
        k += 1
    return [*parts, text[start:]]


def is_quoted(text: str) -> bool:
    """Report whether text is one quoted value."""
    text = text.strip()
    return text[:1] != "" and text[0] in _QUOTES and _end_of_quotes(text, 0) == len(text)


def unquote(text: str) -> str:
    """Return a value without the quotes around it, if it has any, and without outer blanks."""
    text = text.strip()
    return text[1:-1].replace(text[0] * 2, text[0]) if is_quoted(text) else text


def quote(value: object) -> str:
    """Return a value as it can be pasted into a condition: quoted where it must be."""
    text = str(value)
    plain = text and text == text.strip() and text[0] not in _QUOTES and not set(_SPECIAL) & {*text}
    return text if plain else '"' + text.replace('"', '""') + '"'


def split_values(text: str) -> list[str]:
    """Return the values of a list such as `early,"mid, late"`, without their quotes."""
    return [unquote(part) for part in split_text(text, ",")]


def _end_of_quotes(text: str, start: int) -> int:
    """Return the position after the quoted value that begins at `start`."""
    mark, k = text[start], start + 1
    while (k := text.find(mark, k)) >= 0:
        if text[k + 1 : k + 2] != mark:
            rest = text[k + 1 :].lstrip()
            if rest and rest[0] not in _SPECIAL:
                raise InputError(
                    f"text follows the closing quote in {text!r}; a quote inside a quoted value is "
                    f"written twice: {mark * 2}"
                )
            return k + 1
        k += 2
    raise InputError(f"a quote is not closed in {text!r}; close it with {mark}")
