"""``streaming-metrics study``: people judge images; the plan, the server, the folder for a static host, the results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streaming_metrics.cli.exits import exit_codes
from streaming_metrics.cli.outputs import check_writable
from streaming_metrics.cli.terminal import reading_bar, say
from streaming_metrics.startup import allow_interrupts

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from streaming_metrics.study.plan import StudyPlan
    from streaming_metrics.study.store import Store

app = typer.Typer(no_args_is_help=True, help="Studies in which people judge images.")

Plan = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study's plan.")]
StoreFile = Annotated[Path | None, typer.Option(help="Images and answers; NAME.sqlite beside the plan, unless given.")]


def _check_conditions(given: list[str] | None) -> list[str]:
    given = given or []
    names = [one.partition("=")[0] for one in given]
    for one, name in zip(given, names):
        if not (name and one.partition("=")[2]):
            raise typer.BadParameter(f"expected CONDITION=SOURCE, e.g. real=images/, got {one!r}.")
        if names.count(name) > 1:
            raise typer.BadParameter(f"expected each condition once, got {name} again.")
    return given


def _check_kinds(given: str) -> str:
    from streaming_metrics.study.trial import KINDS

    for kind in _split(given):
        if kind not in KINDS:
            raise typer.BadParameter(f"expected some of {', '.join(KINDS)}, got {kind!r}.")
    return given


@app.command()
def new(
    plan: Plan,
    conditions: Annotated[
        list[str] | None,
        typer.Argument(metavar="CONDITION=SOURCE", callback=_check_conditions, help="real=images/ ours=out.zip"),
    ] = None,
    kind: Annotated[str, typer.Option(callback=_check_kinds, help="preference,opinion,categorisation,alignment")] = "",
    epochs: Annotated[Path | None, typer.Option(help="A monitor's keep_samples=: its epochs are conditions.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Epochs to take, evenly spread.")] = 5,
    prompts: Annotated[Path | None, typer.Option(help="List of prompts: .tsv, .csv, .json, .jsonl.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of trials.")] = 0,
) -> None:
    """Write a plan to fill in; one that is there is left alone."""
    from streaming_metrics.study.template import Template, epochs_in

    with exit_codes():
        if plan.exists():
            raise FileExistsError(f"{plan}: expected no file there, got one. Remedy: another name.")
        check_writable(plan)
        kept = {} if epochs is None else epochs_in(epochs, most)
        given = {name: source for name, _, source in (one.partition("=") for one in conditions or [])}
        text = Template(plan, {**given, **kept}, tuple(dict.fromkeys(_split(kind))), prompts, seed).text()
        with plan.open("x", encoding="utf-8") as file:
            file.write(text)
        say(f"{plan} is written. Next: read it, then streaming-metrics study serve {plan}")


@app.command()
def serve(
    plan: Plan,
    host: Annotated[str, typer.Option(help="To bind to; others reach this machine where it is not the default.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    store: StoreFile = None,
    public_url: Annotated[str | None, typer.Option(help="Under which a proxy shows the server.")] = None,
    new_admin_link: Annotated[bool, typer.Option("--new-admin-link", help="Make one; the old one ends.")] = False,
) -> None:
    """Serve a study to its raters until Ctrl-C: prints their links, and at the first start that of the admin page."""
    with exit_codes():
        from streaming_metrics.study.serving import serve
        from streaming_metrics.study.store import Store

        allow_interrupts()
        read = _read(plan)
        with Store.open(store_path(plan, read, store)) as opened:
            known = _opened(read, opened)
            opened.make_raters(known.raters)
            say(f"{known.study}: {_described(known, known.raters)}; {opened.path}")
            serve(opened, known, host, port, public_url, new_admin_link=new_admin_link, say=say)


@app.command()
def export(
    plan: Plan,
    folder: Annotated[Path, typer.Argument(help="To write the page, its images and its trials into.")],
    raters: Annotated[int | None, typer.Option(min=1, help="Orders of trials; as many as the plan has raters.")] = None,
    post_to: Annotated[str | None, typer.Option(help="URL that answers are posted to, beside the download.")] = None,
    store: StoreFile = None,
) -> None:
    """Write a study as one folder for a static host or a crowd platform; raters send back their answers as JSON."""
    with exit_codes():
        from streaming_metrics.study.export import export as export_to
        from streaming_metrics.study.store import Store

        read = _read(plan)
        with Store.open(store_path(plan, read, store)) as opened:
            known = _opened(read, opened)
            count = raters or known.raters
            export_to(known, opened, folder, count, post_to)
            say(f"{known.study}: {_described(known, count)}; {folder / 'index.html'}")


def store_path(plan: Path, read: StudyPlan, given: Path | None = None) -> Path:
    """Return the file of a study's images and answers: the one given, else that called after it, beside the plan."""
    return given or plan.parent / f"{read.name}.sqlite"


def _read(plan: Path) -> StudyPlan:
    from streaming_metrics.study.plan import StudyPlan

    return StudyPlan.read(plan)


def _opened(plan: StudyPlan, store: Store) -> StudyPlan:
    """Return the plan with its images, packed at the first start; say what whoever planned it should know."""
    from streaming_metrics.study.feasible import notes
    from streaming_metrics.study.packing import open_study

    def bar(total: int) -> AbstractContextManager[Callable[[int], None]]:
        return reading_bar("packing", total, shown=True)

    known = open_study(plan, store, bar)
    for note in notes(known):
        say(f"note: {note}", stderr=True)
    return known


def _described(plan: StudyPlan, raters: int) -> str:
    trials = sum(task.per_rater for task in plan.tasks)
    return f"{trials} trials a rater, {raters} raters, {sum(plan.counts.values())} images"


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
