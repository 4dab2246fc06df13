"""A workbook with a rule of each kind, as LibreOffice draws it: the picture of docs/conditional-formatting.md.

    python benchmarks/codefusion_workbook.py OUT

OUT gets rules.xlsx and rules.png. Takes the extra `codefusion`, LibreOffice (soffice) and poppler (pdftoppm).
"""

import argparse
import datetime
import subprocess
from pathlib import Path

import openpyxl

from tenfold.codefusion.rules.cells import read_table
from tenfold.codefusion.rules.check import read_rule
from tenfold.codefusion.rules.export import export

NAMES = ("Top(2)", "AboveAverage", "Between", "Contains", "Duplicate", "Blank", "Next 7 days", "Scale", "Bar", "Icons")
RULES = (
    *("Top(c[0], 2)", "AboveAverage(c[1])", "Between(c[2], 20, 60)", "TextContains(c[3], done)", "Duplicate(c[4])"),
    *("Blanks(c[5])", "ColorScale(c[7])", "DataBar(c[8])", "IconSet(c[9])"),
)
NUMBERS = (12, 87, 45, 63, 9, 71, 38, 55)
WORDS = ("done", "open", "not done", "late", "Done 2", "new", "open", "paid")
CITIES = ("Oslo", "Rome", "Bern", "Lima", "Cairo", "Rome", "Paris", "Tokyo")
KEPT = (5, "", "#N/A", 8, "", 3, "#DIV/0!", 1)


def workbook(path: Path, today: datetime.date) -> Path:
    """The workbook at `path`."""
    days = [today + datetime.timedelta(days=days) for days in (-9, -2, 1, 3, 6, 8, 20, 40)]
    columns = (NUMBERS, NUMBERS, NUMBERS, WORDS, CITIES, KEPT, days, NUMBERS, NUMBERS, NUMBERS)
    soon = f"Between(c[6], {today.isoformat()}, {(today + datetime.timedelta(days=7)).isoformat()})"
    export([*map(read_rule, RULES), read_rule(soon)], read_table([NAMES, *zip(*columns, strict=True)]), path)
    book = openpyxl.load_workbook(path)  # onto one page, for the picture
    book.active.page_setup.orientation = "landscape"
    book.active.sheet_properties.pageSetUpPr = openpyxl.worksheet.properties.PageSetupProperties(fitToPage=True)
    book.save(path)
    return path


def picture(book: Path) -> Path:
    """What LibreOffice draws of a workbook, cut to what is on the page, as PNG beside it."""
    folder = str(book.parent)
    subprocess.run(["soffice", "--headless", "--convert-to", "pdf", "--outdir", folder, str(book)], check=True)
    size = ["-x", "60", "-y", "60", "-W", "990", "-H", "240"]
    base = str(book.with_suffix(""))
    subprocess.run(["pdftoppm", "-png", "-r", "100", "-singlefile", *size, base + ".pdf", base], check=True)
    return book.with_suffix(".png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    print(picture(workbook(out / "rules.xlsx", datetime.date.today())))


if __name__ == "__main__":
    main()
