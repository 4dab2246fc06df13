"""Text in one form: canonical Unicode, one kind of line end, no characters that cannot be seen.

Everything here is a function of one text alone, so it may be run on any part of a collection, in any order, again and again.
"""

import re
import unicodedata

from tenfold.errors import UserError

LINE_ENDS = re.compile("\r\n?|[\u0085\u2028\u2029]")
INVISIBLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ufeff\ufffe\uffff]")


def normalise(texts: list[str], mend_encoding: bool = False) -> list[str]:
    r"""Each text in NFC, its lines ended by \n, control characters and byte order marks gone, spaces at the end of lines kept.

    Done twice it changes nothing more. `mend_encoding` first undoes text decoded by the wrong encoding ("doesnâ€™t"), by ftfy;
    raises UserError where that is asked for and not installed.
    """
    return [_normalised(text) for text in (mended(texts) if mend_encoding else texts)]


def _normalised(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    text = LINE_ENDS.sub("\n", text)
    return INVISIBLE.sub("", text)


def mended(texts: list[str]) -> list[str]:
    """Each text with wrongly decoded parts decoded rightly, as ftfy does it; quotes and ligatures are left as they were."""
    try:
        import ftfy
    except ImportError:
        raise UserError("normalise.mend_encoding is on, but ftfy is not installed.\n  Run `pip install ftfy`, or turn it off.") from None
    config = ftfy.TextFixerConfig(uncurl_quotes=False, fix_latin_ligatures=False, fix_character_width=False, unescape_html=False)
    return [ftfy.fix_text(text, config) for text in texts]
