"""Addresses of the web: one spelling for each, and those that lead to no article.

Normalised as RFC 3986 section 6.2.2 says (case, default ports, dot segments, escapes), then as link sets are made unique: no
fragment, no tracking parameters, no "www." and no scheme, which sites serve alike.
"""

import posixpath
import re
from collections.abc import Collection
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

TRACKING = re.compile(
    r"utm_\w+|fbclid|gclid|gclsrc|dclid|msclkid|mc_[ce]id|igshid|ref|ref_src|ref_url|feature|_ga|spm|cmpid|ncid|smid", re.I
)
SAFE_IN_PATH = "/:@!$&'()*+,;=~-._"
HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?|\[[0-9a-f:.]+\]")
BLOCKED_ENDINGS = re.compile(
    r"\.(jpe?g|png|gifv?|webp|svg|bmp|ico|tiff?|mp[34]|m4[av]|og[gv]|wav|flac|avi|mov|mkv|webm|wmv|pdf|zip|rar|7z|t?gz|bz2|xz|exe|dmg|"
    r"iso|apk|torrent|css|js|xml|rss|json|docx?|xlsx?|pptx?|epub)$"
)
BLOCKED_HOSTS = frozenset(
    # Pictures, films, music, shops and walls: OpenWebText's blocklist in kind, and the sites of the links themselves.
    "reddit.com redd.it redditmedia.com reddituploads.com imgur.com i.imgur.com gfycat.com giphy.com tenor.com flickr.com "
    "youtube.com youtu.be vimeo.com twitch.tv dailymotion.com liveleak.com streamable.com vid.me vine.co soundcloud.com spotify.com "
    "bandcamp.com instagram.com facebook.com fb.me twitter.com t.co x.com tiktok.com snapchat.com pinterest.com tumblr.com "
    "discord.gg discord.com discordapp.com t.me telegram.me whatsapp.com amazon.com amzn.to ebay.com etsy.com aliexpress.com "
    "steamcommunity.com steampowered.com play.google.com itunes.apple.com apps.apple.com drive.google.com docs.google.com "
    "maps.google.com dropbox.com mega.nz pastebin.com google.com bing.com duckduckgo.com strawpoll.me surveymonkey.com "
    "kickstarter.com gofundme.com patreon.com paypal.com pornhub.com xvideos.com xhamster.com redtube.com".split()
)


def normalise(url: str) -> str:
    """The one spelling of an address, as "http://host/path?query"; "" where it is not one of the web."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        host = _host(parts.hostname or "")
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host:
        return ""
    place = host if port in (None, 80, 443) else f"{host}:{port}"
    query = urlencode(sorted(pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not TRACKING.fullmatch(pair[0])))
    return f"http://{place}{_path(parts.path)}{'?' + query if query else ''}"


def _host(name: str) -> str:
    host = name.lower().rstrip(".")
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    host = host.removeprefix("www.") if host.count(".") > 1 else host
    return host if HOST.fullmatch(host) else ""


def _path(path: str) -> str:
    decoded = unquote(path, errors="surrogateescape")
    whole = posixpath.normpath("/" + decoded.lstrip("/"))
    return quote(whole if whole != "/" else "", safe=SAFE_IN_PATH, errors="surrogateescape")


def is_blocked(url: str, hosts: Collection[str] = BLOCKED_HOSTS) -> bool:
    """Whether a normalised address leads to no article: a blocked host or one under it, or a path that ends as a picture or file does."""
    place, _, path = url.removeprefix("http://").partition("/")
    labels = place.partition(":")[0].split(".")
    under = (".".join(labels[start:]) for start in range(len(labels)))
    return any(host in hosts for host in under) or bool(BLOCKED_ENDINGS.search(path.partition("?")[0].lower()))
