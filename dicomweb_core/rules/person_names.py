"""Person names as they are compared (PS3.5 6.2.1, PS3.4 C.2.2.2.1.1, PS3.18 8.3.4.2).

*Literal* matching ignores case, padding and empty components at the end; accents and the order of components count.
Each component group is compared for itself: a key of one group matches any group of a name, a key of several groups
(`alphabetic=ideographic=phonetic`) each group that it gives with that of the name.

*Fuzzy* matching finds what literal matching finds, and in addition every name in which each word of the key begins
some word of one group, in any order. Words are separated by `^`, spaces, hyphens, commas and full stops, and folded:
no case, no accents or other marks, no apostrophes; ß as ss, æ œ þ as two letters, ø ł đ ı as their plain letters;
an e after a, o or u is dropped, so that Mueller finds Müller and Muller; half and full width forms are one, katakana is
read as hiragana. Other scripts keep their letters: there is no transliteration, and no phonetic code.
Wildcards within the words of a key keep their meaning.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from dicomweb_core.rules.texts import has_wildcard, normal, text_test

Groups = tuple[str, ...]
"""Alphabetic, ideographic and phonetic, folded, an absent one empty."""

_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_LETTERS: Final = str.maketrans(
    {
        "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "ŋ": "n", "ĸ": "k",
        "æ": "ae", "œ": "oe", "þ": "th", "'": None, "’": None, "‘": None, "`": None, "´": None, "ʼ": None,
    }
    | {chr(katakana): chr(katakana - 0x60) for katakana in range(0x30A1, 0x30F7)}
)  # fmt: skip
_E_AFTER_VOWEL: Final = re.compile("(?<=[aou])e")
_BETWEEN_WORDS: Final = re.compile(r"[\^\s,.\-‐‑=・･]+")


@lru_cache(maxsize=8192)
def group(text: str) -> str:
    """One component group, folded for literal matching: components without padding, none empty at the end."""
    folded = unicodedata.normalize("NFC", normal(text).casefold())
    if "^" not in folded:
        return folded
    return "^".join(component.strip() for component in folded.split("^")).rstrip("^ ")


def groups_of(value: Any) -> Groups:
    """The folded groups of a value of VR PN, an object as PS3.18 F.2.2 has it or a text with `=`."""
    if isinstance(value, dict):
        given = [value.get(name) for name in _GROUPS]
    elif isinstance(value, str):
        given = [*value.split("=")]
    else:
        return ()
    return tuple(group(text) if isinstance(text, str) else "" for text in given)


@lru_cache(maxsize=8192)
def words(text: str, *, with_e: bool = False) -> tuple[str, ...]:
    """The words of one or more groups, folded for fuzzy matching; `with_e` keeps an e after a, o or u."""
    width = unicodedata.normalize("NFKC", normal(text)).casefold()
    plain = "".join(c for c in unicodedata.normalize("NFD", width.translate(_LETTERS)) if not unicodedata.combining(c))
    return tuple(word for word in _BETWEEN_WORDS.split(plain if with_e else _E_AFTER_VOWEL.sub("", plain)) if word)


def literal_test(key: str) -> Callable[[Any], bool]:
    """Whether a value matches a key, wildcards included."""
    wanted = [group(text) for text in key.split("=")]
    if len(wanted) == 1:
        test = _group_test(wanted[0])
        return lambda value: any(test(text) for text in groups_of(value) if text)
    tests = [(index, _group_test(text)) for index, text in enumerate(wanted) if text]

    def every_group(value: Any) -> bool:
        groups = groups_of(value)
        return all(index < len(groups) and test(groups[index]) for index, test in tests)

    return every_group


def fuzzy_test(key: str) -> Callable[[Any], bool]:
    """Whether a value matches a key literally or by words."""
    literal = literal_test(key)
    # a wildcard may stand for the e that is dropped, so patterns are compared both ways
    ways = [
        (e, [_word_test(word) for word in words(key, with_e=e)])
        for e in ((False, True) if has_wildcard(key) else (False,))
    ]

    def test(value: Any) -> bool:
        if literal(value):
            return True
        given = value.values() if isinstance(value, dict) else str(value).split("=")
        return any(
            bool(tests) and all(any(map(test, candidates)) for test in tests)
            for text in given
            if isinstance(text, str)
            for with_e, tests in ways
            for candidates in (words(text, with_e=with_e),)
        )

    return test


def _group_test(wanted: str) -> Callable[[str], bool]:
    if not has_wildcard(wanted):
        return wanted.__eq__
    test = text_test(wanted)
    carets = wanted.count("^")
    if not carets:
        return test
    # Doe and Doe^ are one name, so Doe^* finds both
    return lambda text: test(text + "^" * (carets - text.count("^")))


def _word_test(word: str) -> Callable[[str], bool]:
    if not has_wildcard(word):
        return lambda text: text.startswith(word)
    return text_test(word + "*")
