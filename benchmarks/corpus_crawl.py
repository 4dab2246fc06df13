"""A small crawl out of the HTML that documentation packages install: WARC files, a folder a package, each package a site.

    apt-get download cppreference-doc-en-html debian-handbook anarchism python3.11-doc rust-doc
    for file in *.deb; do dpkg-deb -x $file pages/${file%%_*}; done
    python benchmarks/corpus_crawl.py pages crawl --without /core/arch/ /core/core_arch/

Needs warcio. Links to other files are left out, and so is what has a part of `--without` in its path: rust-doc has 25,000 pages of
processor instructions, a line each.
"""

import argparse
from pathlib import Path

from corpus_peer import write_warcs


def pages_of(package: Path, without: list[str]) -> list[tuple[str, Path]]:
    """(address, file) of a package's pages, sorted by address."""
    files = [path for path in package.rglob("*.html") if path.is_file() and not path.is_symlink()]
    found = [(f"http://{package.name}.example/{path.relative_to(package).as_posix()}", path) for path in files]
    return sorted(each for each in found if not any(part in each[0] for part in without))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pages", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", nargs="*", default=[])
    options = parser.parse_args()
    for package in sorted(path for path in options.pages.iterdir() if path.is_dir()):
        pages = pages_of(package, options.without)
        write_warcs(pages, options.out / package.name)
        size = sum(path.stat().st_size for _, path in pages) / 1e6
        packed = sum(path.stat().st_size for path in (options.out / package.name).iterdir()) / 1e6
        print(f"{package.name:<26} {len(pages):>6} pages {size:8.1f} MB of HTML, {packed:6.1f} MB as WARC")


if __name__ == "__main__":
    main()
