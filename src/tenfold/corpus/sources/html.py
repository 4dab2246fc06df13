"""HTML to the text of its main content, by Resiliparse (Bevendorff et al. 2018, the extractor of DCLM); and bytes of pages to text."""

import codecs

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

from tenfold.corpus.sources.killable import Failed

STRANGE = b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0e\x0f\x10"
REPLACED = "\ufffd".encode()
MOST_STRANGE = 0.05  # of a page's characters: above it what was decoded is no text


def extract(html: bytes, charset: str) -> str | Failed:
    """The text of a page; "" where it has none. `charset` is what its server said, or ""."""
    page = decoded(html, charset)
    return extract_plain_text(page, main_content=True, alt_texts=False) if is_text(page) else Failed("undecodable")


def is_text(page: str) -> bool:
    """Whether what was decoded has no more of what no text has than a broken page may."""
    data = page.encode("utf-8", "surrogatepass")
    strange = len(data) - len(data.translate(None, STRANGE)) + data.count(REPLACED)
    return strange <= MOST_STRANGE * len(page)


def decoded(data: bytes, charset: str = "") -> str:
    """Bytes of a page as text: UTF-8 where they are that, else as the server, the page's own tag or their statistics say."""
    if b"\0" not in data and b"\x1b" not in data:  # as UTF-16 and ISO-2022 have, whose bytes can be valid UTF-8
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
    declared = _known(charset) and map_encoding_to_html5(charset)
    return bytes_to_str(data, declared or detect_encoding(data, from_html_meta=True) or "utf-8", errors="replace")


def _known(charset: str) -> bool:
    try:
        return bool(charset) and bool(codecs.lookup(charset))
    except LookupError:
        return False
