"""The code in the documentation runs.

A page's ```python blocks run in order in one process, in an empty folder. Two HTML comments, which no reader sees, steer it:
`<!-- not run: why -->` on the line before a block leaves that block out, and `<!-- setup` ... `-->` is code to run that is not shown.
"""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))
BLOCK = re.compile(r"(?P<left_out>^<!-- not run: .+ -->\n)?^(?:```python|<!-- setup)\n(?P<code>.*?)^(?:```|-->)$", re.MULTILINE | re.DOTALL)


def script(markdown: str) -> str:
    """The runnable lines of a page, each on the line where the page has it, so that a traceback points into the page."""
    blocks = list(BLOCK.finditer(markdown))
    if len(blocks) != markdown.count("```python") + markdown.count("<!-- setup"):
        raise ValueError("a block would silently not run: begin each at its line's start, with nothing after the language, and close it")
    lines = [""] * len(markdown.splitlines())
    for block in blocks:
        if not block["left_out"]:
            first, code = markdown.count("\n", 0, block.start("code")), block["code"].splitlines()
            lines[first : first + len(code)] = code
    return "\n".join(lines)


def cells(notebook: str) -> str:
    """The code cells of a Jupyter notebook (format 4), in order. They must be plain Python: no % and no !."""
    return "\n".join("".join(cell["source"]) for cell in json.loads(notebook)["cells"] if cell["cell_type"] == "code")


LONG = ("evaluate.md", "finetune.md", "generate.md", "model.md", "objectives.md", "python.md", "sharding.md", "train.md")
"""Pages whose code takes longer than most: they train or compile much."""


def marked(page: Path):
    """The page as a case."""
    return pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in LONG else [])


def run(text: str, tmp_path: Path, run_python) -> None:
    path = tmp_path / "page.py"
    path.write_text(text)
    run_python(path, devices=1, cwd=tmp_path, timeout=280)


@pytest.mark.parametrize("page", [marked(page) for page in PAGES if script(page.read_text()).strip()])
def test_page_runs(page, tmp_path, run_python):
    run(script(page.read_text()), tmp_path, run_python)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_notebook_runs(notebook, tmp_path, run_python):
    run(cells(notebook.read_text()), tmp_path, run_python)


def test_blocks_keep_their_lines_and_those_left_out_stay_out():
    """What the two tests above rest on."""
    shown = "# A\n```python\na = 1\n```\n"
    left_out = "<!-- not run: needs a pod -->\n```python\nb = 2\n```\n"
    hidden = "<!-- setup\nc = 3\n-->\n```console\nd\n```\n"
    assert script(shown + left_out + hidden).split("\n") == ["", "", "a = 1", "", "", "", "", "", "", "c = 3", "", "", "", ""]


@pytest.mark.parametrize("page", ["- item\n  ```python\n  a = 1\n  ```\n", "```python title=x\na = 1\n```\n", "```python\na = 1\n"])
def test_a_block_that_would_silently_not_run_is_refused(page):
    with pytest.raises(ValueError, match="silently"):
        script(page)
