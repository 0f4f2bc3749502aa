"""What a text looks like to who reads it, so that nothing in it hides behind characters.

Covered: Unicode's form NFKC. What nobody sees is taken out: controls, format characters, variation
selectors, fillers, marks that combine with no letter. Every blank is a space, what ends a line is
a line feed, dashes and the minus sign are a hyphen; letters and signs that look like those of ASCII
are those.

Not covered: what one sees is another letter and can read all the same, as accents, digits for
letters, small capitals.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_ASCII = re.compile(r"[\n\t -~]*+")
_LOOK_ALIKES = {
    # Cyrillic, with letters of Komi, Kurdish and others; Greek; Armenian; Latin beyond ASCII.
    **dict(
        zip(
            "\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u043a\u04cf\u043e\u0440\u051b\u0455\u0443\u0475\u051d\u0445",
            "acdehijklopqsyvwx",
            strict=True,
        )
    ),
    **dict(
        zip(
            "\u0410\u0412\u0421\u0415\u050c\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u051a\u0405\u0422\u0474\u051c\u0425\u04ae\u04c0",
            "ABCEGHIJKMOPQSTVWXYI",
            strict=True,
        )
    ),
    **dict(zip("\u03b1\u03b9\u03f3\u03ba\u03bf\u03c1\u03bd\u03c5", "aijkopvu", strict=True)),
    **dict(
        zip(
            "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
            "ABEZHIKMNOPTYX",
            strict=True,
        )
    ),
    **dict(zip("\u0570\u0578\u0585\u057d", "hnou", strict=True)),
    **dict(zip("\u0251\u0261\u0131\u0237", "agij", strict=True)),
    # Signs that are no dash.
    **dict(
        zip(
            "\u02d0\ua789\u2236\u2044\u2215\u2217\ua78a\u01c3\u201a\u2039\u203a",
            "::://*=!,<>",
            strict=True,
        )
    ),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u02d7\u2796", "-"),
    # Braille's blank.
    "\u2800": " ",
}
_LINE_ENDS = frozenset("\r\x0b\x0c\x85\u2028\u2029")
# NFKC would make fillers of Hangul of both, one of which is as wide as a letter.
_BEFORE = {ord("\u3164"): " ", ord("\uffa0"): " "}
_UNSEEN = re.compile("[\u115f\u1160\u2065\ufff0-\ufff8\U000e0000-\U000e0fff]")


def plain(text: str) -> str:
    """Return `text` as a reader sees it; the same again for what it returns."""
    if _ASCII.fullmatch(text):
        return text
    text = text.replace("\r\n", "\n").translate(_BEFORE)
    # What is unseen goes first, so that it keeps no letter from its accent.
    text = "".join(one for one in text if _is_seen(one) or _is_mark(one))
    text = "".join(map(_as_seen, unicodedata.normalize("NFKC", text)))
    return unicodedata.normalize("NFC", text)  # marks that are gone kept letters apart


@lru_cache(maxsize=10_000)
def _as_seen(one: str) -> str:
    """Return what one character of a text in NFKC looks like."""
    if one in _LINE_ENDS:
        return "\n"
    if not _is_seen(one):
        return ""
    return " " if unicodedata.category(one) == "Zs" else _LOOK_ALIKES.get(one, one)


@lru_cache(maxsize=10_000)
def _is_seen(one: str) -> bool:
    """Whether one sees it, alone; marks that make no letter with the one before are left out."""
    if one in _LINE_ENDS or one in "\n\t":
        return True
    return not (
        unicodedata.category(one) in ("Cc", "Cf") or _is_mark(one) or _UNSEEN.match(one) is not None
    )


@lru_cache(maxsize=10_000)
def _is_mark(one: str) -> bool:
    return unicodedata.category(one) in ("Mn", "Me")
