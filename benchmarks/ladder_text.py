"""English text for a ladder: the documentation in four Debian packages, 53 MB, a line of JSON each document.

    apt-get download linux-doc-6.1 anarchism python3.11-doc perl-doc
    for package in *.deb; do dpkg -x $package debian; done
    python benchmarks/ladder_text.py debian --out english.jsonl

Linux's documentation without its translations, the Anarchist FAQ, and the manuals of Python and Perl, as their authors wrote them
(reStructuredText, Markdown, POD). docs/ladder.md says what was measured with it.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from longnet_quality import read_text

PARTS = {
    "linux": ("doc/linux-doc-6.1", "**/*.rst.gz"),
    "anarchism": ("doc/anarchism/markdown", "*.md.gz"),
    "python": ("doc/python3.11/html/_sources", "**/*.txt"),
    "perl": ("perl", "**/*.pod"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the packages were taken apart")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    characters: Counter[str] = Counter()
    lines = []
    for name, (folder, pattern) in PARTS.items():
        root = options.folder / "usr/share" / folder
        files = [file for file in sorted(root.glob(pattern)) if "translations" not in file.parts and not file.is_symlink()]
        if not files:
            sys.exit(f"{root} has no {pattern}: take the four packages apart into {options.folder} first.")
        for file in files:
            text = read_text(file)
            lines.append(json.dumps({"text": text, "id": f"{name}/{file.name}"}))
            characters[name] += len(text)
    options.out.write_text("\n".join(lines) + "\n")
    print(", ".join(f"{name} {count:,} characters" for name, count in characters.items()))


if __name__ == "__main__":
    main()
