"""Read the time in one label, such as `day 3`, `E12.5`, `8 pcw`, `TS12` or `25-year-old stage`."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

#: Words before or after the number, by unit.
UNITS = {
    "second": ("sec", "secs", "second", "seconds"),
    "minute": ("min", "mins", "minute", "minutes"),
    "hour": ("h", "hr", "hrs", "hour", "hours"),
    "day": ("d", "day", "days", "div"),
    "week": ("w", "wk", "wks", "week", "weeks"),
    "month": ("mo", "mos", "mth", "mths", "month", "months"),
    "year": ("y", "yr", "yrs", "year", "years"),
    "": ("", "t", "time", "timepoint", "time point", "tp"),
}

#: Words of stages and counts that order samples without saying how much time is between them.
ORDINAL_UNITS = {
    "Theiler stage": ("ts", "theiler"),
    "Carnegie stage": ("cs", "carnegie"),
    "Hamburger-Hamilton stage": ("hh", "hamburger hamilton"),
    "Nieuwkoop-Faber stage": ("nf", "nieuwkoop faber"),
    "somite": ("ss", "somite", "somites"),
    "stage": ("st", "stg", "stage", "stages"),
}

#: Days per unit; a year is 365.25 days, a month its twelfth.
DAYS = {
    "second": 1 / 86400,
    "minute": 1 / 1440,
    "hour": 1 / 24,
    "day": 1.0,
    "week": 7.0,
    "month": 365.25 / 12,
    "year": 365.25,
}

#: Events that times count from.
CONCEPTION, MENSTRUATION, BIRTH = "conception", "menstruation", "birth"

_UNIT_OF_WORD = {word: unit for unit, words in UNITS.items() for word in words}

#: The unit of `3m`: minutes in a column with hours, months elsewhere.
MINUTE_OR_MONTH = "m"

#: Words with a unit and an event; `dpi`, `hpf` and the like follow a rule.
_AGES = {
    "e": ("day", CONCEPTION),
    "ed": ("day", CONCEPTION),
    "gd": ("day", CONCEPTION),
    "p": ("day", BIRTH),
    "pn": ("day", BIRTH),
    "pnd": ("day", BIRTH),
    "pcd": ("day", CONCEPTION),
    "pcw": ("week", CONCEPTION),
    "pcws": ("week", CONCEPTION),
    "gw": ("week", MENSTRUATION),
    "wga": ("week", MENSTRUATION),
    "yo": ("year", BIRTH),
    "wo": ("week", BIRTH),
}

#: Words that only stand before the number, and only after it.
_ONLY_BEFORE, _ONLY_AFTER = {"e", "ed", "p", "pn", "ts", "cs", "hh", "nf"}, {"m", "ss"}

#: Events by the first letter in `dpi`, `hpf`, `wpc`, ...; other letters stand for themselves.
_EVENTS = {"c": CONCEPTION, "f": CONCEPTION, "o": CONCEPTION, "b": BIRTH, "n": BIRTH, "p": BIRTH}
_ABBREVIATION = re.compile(r"([mhdwy])p([a-z]{1,2})")
_UNIT_OF_LETTER = {"h": "hour", "d": "day", "w": "week", "m": MINUTE_OR_MONTH, "y": "year"}

#: Phrases that name the event, removed before the unit is read.
_PHRASES = (
    (re.compile(r"\b(?:post|after) (?:fertili[sz]ation|conception(?:al)?|coit\w+)\b"), CONCEPTION),
    (re.compile(r"\b(?:embryonic|fetal|foetal|prenatal)\b"), CONCEPTION),
    (re.compile(r"\bgestation(?:al)?\b"), "gestation"),
    (re.compile(r"\b(?:post ?natal|(?:post|after) birth|old)\b"), BIRTH),
    (re.compile(r"\b(?:post|after) ([a-z]+)\b"), None),
)
#: Words that say nothing more, beside a unit.
_FILLERS = {"age", "aged", "of", "human", "mouse"}

_NUMBER = r"(?:\d+\.?\d*|\.\d+)"
#: `day-3` is day 3 and `day -3` is three days before day 0.
_LABEL = re.compile(
    r"^(?P<before>(?:[a-z](?:[a-z ._-]*[a-z])?)?)(?:(?<=[a-z])[-.]|[ _:=]*)"
    rf"(?P<number>-?{_NUMBER}(?:e[+-]?\d+)?)(?:(?<=\d)(?:st|nd|rd|th)\b)?"
    r"(?P<after>[ _-]*(?:[a-z](?:[a-z ._-]*[a-z.])?)?)$"
)
#: A window of time: `0-2h`, `65-79 year-old stage`, and with the name of an age
#: `newborn stage (0-28 days)`. No words before it: the hyphen of `day 0-1` may be of a replicate.
_WINDOW = re.compile(
    rf"^(?P<age>(?:[a-z]+ )*stage \()?(?P<low>{_NUMBER}) ?(?:-|to) ?(?P<high>{_NUMBER})"
    r"(?P<after>[ _-]*[a-z][a-z -]*)\)?$"
)
_ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
]
_DECADE = re.compile(rf"^({'|'.join(_ORDINALS)}) decade(?: human)?(?: stage)?$")
_BIRTH = re.compile(r"^(?:newborn|neonate)(?: human| mouse)?(?: stage)?$")

_REPLICATE = re.compile(
    r"(?:[ _.-]*(?:bio|tech)?[ _.-]?"
    r"(?:rep|repl|replicate|batch|sample|lane|run|mouse|donor|embryo|pool|plate|lib|library)"
    r"|[ _.-]+(?:r|br|tr))"
    r"[ _.-]*(?:\d{1,3}|[a-z])$",
    re.IGNORECASE,
)


#: Longer labels are not read, so that none takes long.
_MAX_LENGTH = 100


class TimeLabel(NamedTuple):
    """The time that a label says.

    Attributes
    ----------
    number
        The number in it, in `unit`.
    unit
        A key of `UNITS` or `ORDINAL_UNITS`, or `MINUTE_OR_MONTH`.
    origin
        Event that time counts from, such as `conception`; empty if it is not named.
    is_window
        Whether the label is a window of time, of which `number` is the middle.
    """

    number: float
    unit: str
    origin: str = ""
    is_window: bool = False


def unit_of_name(name: str) -> str:
    """Return the unit of time in a name, such as that of a column: `hours`, `age_days`, `hpf`."""
    meaning = _read_words(name.lower().replace("_", " "), "")
    return meaning[0] if meaning is not None and meaning[0] in DAYS else ""


def split_replicate(label: str) -> tuple[str, str]:
    """Split a label into the time and the suffix of a replicate: `Day0`, `_rep1`."""
    found = _REPLICATE.search(label) if len(label) <= _MAX_LENGTH else None
    return (label[: found.start()], found[0]) if found and found.start() else (label, "")


def parse_label(value: Hashable) -> TimeLabel | None:
    """Return the time of one value, or None if it is not a time."""
    if isinstance(value, int | float | np.integer | np.floating):
        # Via text, so that 0.1 in single precision is read as 0.1.
        return TimeLabel(float(str(value)), "") if np.isfinite(value) else None
    text = " ".join(str(value).lower().split()).replace(" and over", "")
    if len(text) > _MAX_LENGTH:
        return None
    for read in (_parse_plain, _parse_window, _parse_life_stage):
        if found := read(text):
            return found if math.isfinite(found.number) else None
    return None


def _parse_plain(text: str) -> TimeLabel | None:
    match = _LABEL.match(text)
    if match is None:
        return None
    meaning = _read_words(match["before"], match["after"])
    return None if meaning is None else TimeLabel(float(match["number"]), *meaning)


def _parse_window(text: str) -> TimeLabel | None:
    match = _WINDOW.match(text)
    if match is None or float(match["low"]) >= float(match["high"]):
        return None
    meaning = _read_words("", match["after"])
    if meaning is None or meaning[0] not in DAYS:
        return None
    unit, origin = meaning
    middle = (float(match["low"]) + float(match["high"])) / 2
    return TimeLabel(middle, unit, BIRTH if match["age"] else origin, is_window=True)


def _parse_life_stage(text: str) -> TimeLabel | None:
    if _BIRTH.match(text):
        return TimeLabel(0.0, "day", BIRTH)
    if decade := _DECADE.match(text):
        return TimeLabel(10.0 * _ORDINALS.index(decade[1]) + 5, "year", BIRTH, is_window=True)
    return None


def _read_words(before: str, after: str) -> tuple[str, str] | None:
    """Return the unit and the event in the words around a number; None for other words."""
    sides = [re.findall("[a-z]+", side.replace(".", "")) for side in (before, after)]
    if _ONLY_AFTER & set(sides[0]) or _ONLY_BEFORE & set(sides[1]):
        return None
    text, events = _take_events(" ".join(word for side in sides for word in side))
    text, units = _take_stages(text)
    given = text.split()
    words = [word for word in given if word not in _FILLERS]
    for word in [" ".join(words)] if " ".join(words) in _UNIT_OF_WORD else words:
        meaning = _read_word(word)
        if meaning is None:
            return None
        units.add(meaning[0])
        events.add(meaning[1])
    units, events = units - {""}, events - {""}
    if "gestation" in events:
        events = events - {"gestation"} | {MENSTRUATION if "week" in units else CONCEPTION}
    if len(units) > 1 or len(events) > 1 or (not units and {"human", "mouse"} & set(given)):
        return None
    return "".join(units), "".join(events)


def _take_events(text: str) -> tuple[str, set[str]]:
    """Remove the phrases that name an event, and return the rest and the events."""
    events: set[str] = set()
    for phrase, event in _PHRASES:
        events |= {event or match[1][0] for match in phrase.finditer(text)}
        text = phrase.sub(" ", text)
    return text, events


def _take_stages(text: str) -> tuple[str, set[str]]:
    """Remove the words that name stages, and return the rest and their units."""
    units: set[str] = set()
    for unit, names in ORDINAL_UNITS.items():
        text, n = re.subn(rf"\b(?:{'|'.join(names)})\b", " ", text)
        # "stage" alone is a unit; beside another one it says nothing more.
        if n and not (unit == "stage" and (units or text.strip())):
            units.add(unit)
    return text, units


def _read_word(word: str) -> tuple[str, str] | None:
    if word in _UNIT_OF_WORD:
        return _UNIT_OF_WORD[word], ""
    if word in _AGES:
        return _AGES[word]
    if word == "m":
        return MINUTE_OR_MONTH, ""
    if match := _ABBREVIATION.fullmatch(word):
        return _UNIT_OF_LETTER[match[1]], _EVENTS.get(match[2][0], match[2][0])
    return None
