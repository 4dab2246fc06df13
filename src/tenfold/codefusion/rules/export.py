"""Rules on a table as a real workbook, through openpyxl (the extra `codefusion`).

Each rule becomes the ready rule that Excel has for it, so that Excel's own window of rules shows it as one would have made it there; rules
joined by AND, OR and NOT, and texts that must be equal, become formulas. LibreOffice's ready rules treat columns of mixed types unlike
Excel's; `formulas=True` writes every rule as the formula that says what the evaluator does, in both programs.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tenfold.codefusion.rules.cells import ERRORS, Cell, ErrorValue, Table, shown, target
from tenfold.codefusion.rules.check import check, check_table
from tenfold.codefusion.rules.formulas import FIRST_ROW, Frame, formula, period, value
from tenfold.codefusion.rules.syntax import Call, Column, Reference, letters
from tenfold.codefusion.rules.write import write
from tenfold.corpus.files import replacing
from tenfold.errors import UserError

if TYPE_CHECKING:
    from openpyxl.formatting.rule import Rule

FILLS = (("FFC7CE", "9C0006"), ("C6EFCE", "006100"), ("FFEB9C", "9C5700"), ("BDD7EE", "1F4E78"))
"""Fill and letters of the first rule, the second, and so on: Excel's own light red, green and yellow, and a blue."""


MOST_WIDE = 50
"""Letters of the widest column; longer texts run on or are cut, as in Excel."""


def export(rules: Sequence[Call], table: Table, path: Path, formulas: bool = False) -> Path:
    """Writes the table and the rules into a workbook at `path`, which is whole or absent. Returns the path.

    `formulas`: no ready rules but those that draw, for programs whose ready rules are not Excel's. Raises RuleError for rules that do not
    fit the table, and UserError where openpyxl is missing or a cell cannot be kept in a workbook.
    """
    openpyxl = _openpyxl()
    book = openpyxl.Workbook()
    sheet = book.active
    for column, name in enumerate(table.header, start=1):
        _put(sheet.cell(1, column), name)
        sheet.cell(1, column).font = openpyxl.styles.Font(bold=True)
    for row, cells in enumerate(table.rows, start=FIRST_ROW):
        for column, cell in enumerate(cells, start=1):
            _put(sheet.cell(row, column), cell)
    for column, name in enumerate(table.header):
        longest = max(len(text) for text in (name, *map(_text, table.column(column))))
        sheet.column_dimensions[letters(column + 1)].width = min(max(longest + 3, 8), MOST_WIDE)
    for i, rule in enumerate(rules):
        check(rule, write(rule))
        check_table(rule, table, write(rule))
        column = target(rule, table)
        frame = Frame.of(column, table)
        sheet.conditional_formatting.add(frame.range().replace("$", ""), _ready(rule, frame, *FILLS[i % len(FILLS)], formulas))
    with replacing(path) as file:
        book.save(file)
    return path


def _openpyxl():
    try:
        import openpyxl
    except ImportError as missing:
        raise UserError("writing a workbook takes openpyxl, which is not installed.\n  pip install 'tenfold[codefusion]'") from missing
    return openpyxl


def _put(place, cell: Cell) -> None:
    """Writes a cell. Texts stay texts, even those that look like a formula or a number."""
    from openpyxl.utils.exceptions import IllegalCharacterError

    if isinstance(cell, ErrorValue):
        place.value = cell.name if cell.name in ERRORS else "#VALUE!"  # a workbook holds no error that Excel does not know
        place.data_type = "e"
        return
    try:
        place.value = cell
    except IllegalCharacterError as wrong:
        raise UserError(
            f"cell {place.coordinate} holds {cell!r}, with a control character that no workbook can hold.\n  Remove it."
        ) from wrong
    if isinstance(cell, str):
        place.data_type = "s"
    if isinstance(cell, datetime.datetime):
        place.number_format = "yyyy-mm-dd" if cell.time() == datetime.time() else "yyyy-mm-dd hh:mm"


def _text(cell: Cell) -> str:
    """About what a cell shows."""
    if isinstance(cell, datetime.datetime):
        return str(cell.date())
    return cell.name if isinstance(cell, ErrorValue) else shown(cell)


def _ready(rule: Call, frame: Frame, fill: str, ink: str, formulas: bool) -> "Rule":
    """Excel's own rule for it, or a formula."""
    from openpyxl.formatting.rule import ColorScaleRule, DataBarRule, IconSetRule, Rule
    from openpyxl.styles import Font, PatternFill
    from openpyxl.styles.differential import DifferentialStyle

    kind, excel = rule.function.kind, rule.function.excel
    if rule.name == "ColorScale":
        colors = {"start_color": "F8696B", "mid_color": "FFEB84", "end_color": "63BE7B"}
        return ColorScaleRule(start_type="min", mid_type="percentile", mid_value=50, end_type="max", **colors)
    if rule.name == "DataBar":
        return DataBarRule(start_type="min", end_type="max", color="638EC6")
    if rule.name == "IconSet":
        return IconSetRule("3TrafficLights1", "percent", [0, 33, 67])
    paint = DifferentialStyle(font=Font(color=ink), fill=PatternFill(bgColor=fill))
    if formulas:
        return Rule(type="expression", formula=[formula(rule, frame)], dxf=paint)
    if kind == "compare":
        given = [value(argument, frame) for argument in rule.arguments]
        return Rule(type="cellIs", operator=excel, formula=given, dxf=paint)
    if kind == "rank":
        percent, bottom = rule.name.endswith("Percent"), rule.name.startswith("Bottom")
        return Rule(type="top10", rank=int(rule.rank()), percent=percent, bottom=bottom, dxf=paint)
    if kind == "average":
        return Rule(type="aboveAverage", aboveAverage=rule.name == "AboveAverage", dxf=paint)
    if kind == "repeat":
        return Rule(type=excel, dxf=paint)
    if kind == "date":
        return Rule(type="timePeriod", timePeriod=excel, formula=[period(rule.name, frame.cell())], dxf=paint)
    if kind == "text" and excel != "expression" and not isinstance(rule.arguments[0], Column | Reference):
        return Rule(type=excel, operator=excel, text=rule.arguments[0].value, formula=[formula(rule, frame)], dxf=paint)  # type: ignore[union-attr]
    return Rule(type=excel if kind == "cells" else "expression", formula=[formula(rule, frame)], dxf=paint)
