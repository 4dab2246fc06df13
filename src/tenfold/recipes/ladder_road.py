"""`tenfold ladder`, as a person sees it: its cost before it starts, each rung as it ends, the laws, the prediction and its test."""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.table import Column, Table

from tenfold.errors import UserError
from tenfold.recipes.ladder import Work
from tenfold.recipes.show import Display
from tenfold.report.ladder import ladder_report
from tenfold.report.plots import number
from tenfold.report.tables import duration
from tenfold.scaling.at_once import check_at_once, trained_at_once
from tenfold.scaling.budget import Budget, Cost, check_flops, check_minutes
from tenfold.scaling.fit import Fit, compare, fit
from tenfold.scaling.isoflop import approach_1, approach_2, approach_3
from tenfold.scaling.ladder import (
    Opened,
    climb,
    kept,
    ladder_curves,
    ladder_points,
    one_by_one,
    open_ladder,
    read_ladder,
    rung_path,
)
from tenfold.scaling.optimal import compute_optimal, over_training
from tenfold.scaling.points import Point
from tenfold.scaling.prediction import PREDICTION, predict, read_prediction, target_of, target_point, verify
from tenfold.scaling.rungs import Ladder, Rung, rungs
from tenfold.scaling.summary import summary
from tenfold.scaling.timing import time_rungs
from tenfold.train.device import machine
from tenfold.train.records import write_json

NARROW = ("model", "parameters", "tokens", "epochs", "FLOPs", "time")
WIDE = 110  # columns of a terminal that has room for all
PAGE_BOOTSTRAP = 200  # fits of the page's bands, made anew after each model


def run_ladder(ladder: Ladder, work: Work, console: Console | None = None) -> int:
    """Prints what it will cost, trains what is not trained yet, and fits the laws. Returns 0, or 130 where it was stopped."""
    console, out = console or Console(highlight=False), work.out or Path("ladders") / ladder.recipe.name
    check_at_once(work.at_once)
    check_flops(rungs(ladder, ladder.recipe.data), work.budget)
    with console.status("preparing documents ..."):
        opened = open_ladder(ladder, out)
    asked = rungs(ladder, opened.shared, opened.parts)
    done = set(kept(opened, asked))
    with console.status("timing a step of each size ..."):
        costs = time_rungs(opened, asked, done)
    console.print(_cost_table(costs, opened, console.width))
    check_minutes(costs, work.budget)

    began = time.perf_counter()
    how = "one after the other" if work.at_once == 1 else f"{work.at_once} at once"
    console.print(f"The page, written anew after each model: {page(opened.out)}" if done else f"{len(asked)} models, {how}.")
    if not _climbed(opened, asked, work.at_once, console):
        console.print("Stopped, with a checkpoint. The same command goes on from there.")
        return 130
    _show_laws(ladder_points(out), console)
    if ladder.target and not (out / PREDICTION).exists():
        _show_prediction(predict(opened, ladder.target), console)
    seconds = time.perf_counter() - began
    write_json(out / "result.json", {"command": "ladder", "seconds": round(seconds, 1), "rungs": len(asked), "machine": machine()})
    console.print(f"Done in {duration(seconds)}. The page: {page(out)}")
    then = f"verify {out}" if (out / PREDICTION).exists() else f"predict {out} --target SIZE"
    several = len(ladder.tokens_per_parameter) + len(ladder.tokens) + len(ladder.isoflop) > 1  # or nothing tells size from tokens
    console.print(f"  next: tenfold ladder {then}" + (f"   tenfold ladder compute-optimal {out} --flops C" if several else ""))
    return 0


def _climbed(opened: Opened, asked: list[Rung], at_once: int, console: Console) -> bool:
    """False where it was stopped."""
    after = partial(_after, console, opened.out)
    if at_once == 1:
        return climb(opened, asked, partial(one_by_one, watching=partial(Display, console=console)), after)
    with console.status("starting ...") as status:
        return climb(opened, asked, partial(trained_at_once, count=at_once, look=partial(_look, opened.out, status)), after)


def _look(out: Path, status: Status, running: list[Rung]) -> None:
    """How far those in training are, in the terminal's last line."""
    far = [f"{rung.name} step {_step(out, rung):,}/{rung.recipe.train.steps:,}" for rung in running]
    status.update(", ".join(far))


def _step(out: Path, rung: Rung) -> int:
    file = rung_path(out, rung.name) / "metrics.jsonl"
    whole = file.read_text().split("\n")[:-1] if file.exists() else []  # the last line may be half written
    return json.loads(whole[-1])["step"] if whole else 0


def predict_target(out: Path, target: int, law: str | None, ratio: float | None, console: Console | None = None) -> int:
    """`tenfold ladder predict`."""
    console = console or Console(highlight=False)
    opened = open_ladder(read_ladder(out), out)
    _show_prediction(predict(opened, target, law, ratio), console)
    console.print(f"Written, once: {out / PREDICTION}\n  next: tenfold ladder verify {out}")
    page(out)
    return 0


def verify_target(out: Path, budget: Budget, console: Console | None = None) -> int:
    """`tenfold ladder verify`."""
    console, prediction = console or Console(highlight=False), read_prediction(out)
    rung = target_of(prediction)
    check_flops([rung], budget)
    opened = open_ladder(read_ladder(out), out)
    with console.status("timing a step ..."):
        costs = time_rungs(opened, [rung], set())
    console.print(_cost_table(costs, opened, console.width))
    check_minutes(costs, budget)
    found = verify(opened, partial(Display, console=console))
    if found is None:
        console.print("Stopped, with a checkpoint. The same command goes on from there.")
        return 130
    _show_verification(found, prediction, console)
    console.print(f"The page: {page(out)}")
    return 0


def show_optimal(out: Path, flops: float, law: str | None, console: Console | None = None) -> int:
    """`tenfold ladder compute-optimal`: the size, tokens and loss that a budget buys, and the price of smaller models."""
    console = console or Console(highlight=False)
    fitted = fit(law or "chinchilla", ladder_points(out))
    best = compute_optimal(fitted, flops)
    ends = [_range(best.parameters_interval), _range(best.tokens_interval), _range(best.loss_interval)]
    counted = "with" if fitted.embeddings else "without"
    console.print(f"{flops:.3g} FLOPs, by {fitted.law.name} fitted to {len(fitted.points)} points; 95% intervals")
    console.print(f"  parameters, {counted} embeddings  {number(best.parameters)}  {ends[0]}")
    console.print(f"  tokens                      {number(best.tokens)}  {ends[1]}   {best.tokens_per_parameter:.3g} a parameter")
    console.print(f"  loss                        {best.loss:.4f}  {ends[2]}")
    table = _table("smaller by", "parameters", "tokens for the same loss", "compute for it", "loss on the same budget")
    prices = over_training(fitted, flops)
    for price in prices:
        ratio = f"{price.flops_ratio:.2f}x" if price.flops_ratio < float("inf") else "no budget is enough"
        table.add_row(f"{price.factor:g}x", number(price.parameters), number(price.tokens), ratio, f"{price.same_budget_loss:.4f}")
    console.print(table)
    approaches = _approaches(out, fitted, flops, console)
    found = {"fit": fitted.record(), "best": best.record(), "smaller": [price.record() for price in prices], "approaches": approaches}
    write_json(out / "optimal.json", found)
    return 0


def _approaches(out: Path, fitted: Fit, flops: float, console: Console) -> list[dict[str, Any]]:
    """Chinchilla's three ways to the best size, beside each other; those that these models do not allow say why."""
    counted = fitted.embeddings  # one count of parameters for all three
    ways = (
        partial(approach_1, ladder_curves(out), embeddings=counted),
        partial(approach_2, ladder_points(out), embeddings=counted),
        partial(approach_3, fitted),
    )
    records = []
    table = _table("approach", "N grows as", "D grows as", "parameters", "tokens")
    for way in ways:
        try:
            found = way()
        except UserError as refused:
            console.print(str(refused), markup=False)
            continue
        exponents = (f"C^{found.size_exponent:.3f}", f"C^{found.token_exponent:.3f}")
        table.add_row(found.approach, *exponents, number(found.size(flops)), number(found.tokens(flops)))
        records.append(found.record())
    console.print(table)
    return records


def _range(interval: tuple[float, float]) -> str:
    return f"{number(interval[0])} to {number(interval[1])}"


def _after(console: Console, out: Path, entry: dict[str, Any]) -> None:
    """A rung has ended: a line for it, the laws as they now are, and the page."""
    bits = f", {entry['bits_per_byte']:.4f} bits a byte" if entry["bits_per_byte"] else ""
    found = f"set aside, {entry['reason']}" if entry["reason"] else f"held-out loss {entry['loss']:.4f}{bits}"
    console.print(f"  {entry['name']}: {found}", markup=False)
    page(out)


def page(out: Path) -> Path:
    """Fits what there is, into fits.json, and writes OUT/report.html."""
    points, target = ladder_points(out), target_point(out)
    try:
        found = summary(points, ladder_curves(out), bootstrap=PAGE_BOOTSTRAP, target=target)
    except UserError as refused:
        found = {"refused": str(refused), "laws": []}
    write_json(out / "fits.json", found)
    return ladder_report(out)


def _cost_table(costs: list[Cost], opened: Opened, width: int) -> Table:
    """What each rung is and costs; in a narrow terminal what a budget is decided by: the rest is on the page and in each rung's recipe."""
    rows = [_cost_row(cost, opened) for cost in costs]
    names = [name for name in rows[0] if width >= WIDE or name in NARROW]
    table = _table(*names)
    for row in rows:
        table.add_row(*(row[name] for name in names))
    left = [cost for cost in costs if not cost.done]
    total = (f"{sum(cost.rung.flops for cost in left):.2e}", duration(sum(cost.seconds for cost in left)))
    table.add_row(*("to train" if i == 0 else "" for i in range(len(names) - 2)), *total, style="bold")
    return table


def _cost_row(cost: Cost, opened: Opened) -> dict[str, str]:
    rung, model, train = cost.rung, cost.rung.recipe.model, cost.rung.recipe.train
    return {
        "model": rung.name,
        "layers": str(model.layers),
        "width": str(model.embed),
        "parameters": number(rung.parameters),
        "without embeddings": number(rung.non_embedding),
        "tokens": number(rung.tokens),
        "epochs": f"{rung.tokens / opened.tokens:.2f}",
        "batch": number(train.batch * model.context),
        "rate": f"{rung.recipe.optimizer.learning_rate:.2e}",
        "FLOPs": f"{rung.flops:.2e}",
        "time": "done" if cost.done else duration(cost.seconds),
    }


def _show_laws(points: list[Point], console: Console) -> None:
    """Every law, with its error on the largest models left out."""
    table = _table("law", "fitted to", "error on the largest, left out", "constants")
    compared = compare(points, bootstrap=0)
    if not any(found.fit for found in compared):
        console.print(f"no law: {compared[0].refused}", markup=False)
        return
    for found in compared:
        constants = ", ".join(f"{name} {value:.4g}" for name, value in found.fit.constants.items()) if found.fit else ""
        which = f"the {found.budgets} largest budgets" if found.budgets else "all"
        table.add_row(found.law.name, which, f"{found.error:+.2%}" if found.errors else found.refused.splitlines()[0], constants)
    console.print(table)


def _show_prediction(prediction: dict[str, Any], console: Console) -> None:
    target, (low, high) = prediction["target"], prediction["interval"]
    console.print(
        f"Predicted, by {prediction['law']} from {len(prediction['points'])} smaller models: size {target['size']}, "
        f"{number(target['parameters'])} parameters on {number(target['tokens'])} tokens ({target['flops']:.2e} FLOPs), "
        f"reaches a held-out loss of {prediction['loss']:.4f} (95%: {low:.4f} to {high:.4f})."
    )


def _show_verification(found: dict[str, Any], prediction: dict[str, Any], console: Console) -> None:
    if found["error"] is None:
        console.print(f"The target was set aside: {found['reason']}.")
    else:
        where = "inside" if found["inside"] else "outside"
        console.print(
            f"Predicted on {prediction['date']}: {found['predicted']:.4f}. Measured: {found['loss']:.4f}. "
            f"The prediction is off by {found['error']:+.2%}, and the loss lies {where} its 95% interval."
        )
    for said in found["changes"]:
        console.print(f"But: {said}")


def _table(*names: str) -> Table:
    """Of columns that are wrapped where the terminal is narrow: nothing is cut off."""
    return Table(*(Column(name, overflow="fold") for name in names))
