"""One model against a ledger, in a terminal. Apart from the rest of the ledger's commands, which need no JAX."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tenfold.api import load
from tenfold.evaluate.ledger.experiment import Experiment
from tenfold.evaluate.ledger.record import Record
from tenfold.evaluate.ledger.run import LedgerWatch, run, who_is
from tenfold.model.flops import train_flops_per_token
from tenfold.recipes.evaluate_road import Display
from tenfold.report.ledger import score_said
from tenfold.train.run import read_run


def measure(ledger: Path, asked: Sequence[Experiment], path: str, data: tuple[Path, ...], run_code: bool, console: Console) -> int:
    """Runs the experiments against what `tenfold.load` takes. Returns the exit code: 1 where some could not be run."""
    place = Path(path).expanduser()
    name = place.stem if place.suffix == ".gguf" else place.resolve().name
    model = load(path)
    tokens, flops = training(place)
    who = who_is(model, name, tokens, flops)
    console.print(f"{name}, {who.parameters:,} parameters, {who.fingerprint}: {len(asked)} experiments", soft_wrap=True)
    display = LedgerDisplay(console)
    with display:
        went = run(model, who, ledger, asked, data, run_code, display)
    if went.code:
        console.print(f"  {len(went.code)} not run, as they run programs that the model writes: {', '.join(went.code)}", soft_wrap=True)
        console.print("  They run in a sandbox (docs/tasks.md). If you agree, say --run-code.", soft_wrap=True)
    return 1 if went.left_out else 0


def training(path: Path) -> tuple[int | None, float | None]:
    """The tokens that a run was trained on, and the operations that this took; None where nobody wrote them down."""
    if not (path / "recipe.yaml").exists():
        return None, None
    run = read_run(path)
    tokens = run.result.get("tokens")
    return tokens, tokens and tokens * train_flops_per_token(run.recipe.model)


class LedgerDisplay(Display, LedgerWatch):
    """A bar in a terminal; a line for each experiment everywhere."""

    def measured(self, experiment: Experiment, record: Record, fresh: bool) -> None:
        verdict = "passes" if experiment.passes(record.score) else "not yet"
        cut = f", {record.cut} cut" if record.cut else ""
        how = f"{record.items} items in {record.seconds:.1f} s{cut}" if fresh else "was there already"
        said, limit = (score_said(number, record.metric) for number in (record.score, experiment.threshold))
        self.console.print(f"  {self.about}: {said} of {limit}, {verdict}  ({how})", soft_wrap=True)

    def left_out(self, experiment: Experiment, why: str) -> None:
        self.console.print(f"  {self.about}: left out: {why}", soft_wrap=True, markup=False)
