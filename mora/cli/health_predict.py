"""mora health predict: a verdict on each row of a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mora.cli.common import say, show
from mora.errors import BadInput

if TYPE_CHECKING:
    from mora.health.predicting import Quality


def predict(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file with a column for each metric.")],
    trained_on: Annotated[
        Path | None,
        typer.Option("--trained-on", help="File of usual rows to learn from.", show_default="FILE itself"),
    ] = None,
    detector: Annotated[str, typer.Option("--detector", "-d", help="See mora list.")] = "isolation-forest",
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", "-c", help="A metric to look at, repeated.", show_default="all columns of numbers"),
    ] = None,
    contamination: Annotated[
        float,
        typer.Option(
            "--contamination", help="Share of the rows learnt from that may be abnormal; as many are flagged."
        ),
    ] = 0.05,
    out: Annotated[Path, typer.Option("--out", help="The CSV file to write.")] = Path("predictions.csv"),
) -> None:
    """Flag the unusual rows of a table: FILE with two more columns, predicted_anomaly and anomaly_score.

    predicted_anomaly is 1 or 0, empty where a row has no verdict.
    anomaly_score is the threshold less the detector's score, as scikit-learn
    has it: LOWER is more abnormal, and what is below 0 is flagged. Everywhere
    else in MOrA a higher score is more abnormal.

    Rows need no time and no order for isolation-forest, the usual one here;
    detectors that look back need a column timestamp. Where FILE has a column
    is_anomaly or label (1 where abnormal), it is not learnt from: precision and
    recall are printed, beside the best rule of one metric.

    \\b
    mora health predict my_metrics.csv
    mora health predict today.csv --trained-on last-week.csv --out today-flagged.csv
    """
    from mora.files import write_files
    from mora.health import predicting, reading

    if any(given is not None and given.resolve() == out.resolve() for given in (file, trained_on)):
        raise BadInput(f"--out {out} is the file that is read.", hint="Name another file.")
    table = reading.read_table(file)
    history = None if trained_on is None else reading.read_table(trained_on)
    found = predicting.predict(table, history, detector=detector, metrics=columns, contamination=contamination)
    for reason in found.reasons:
        say(reason)
    write_files([(out, found.table.to_csv(index=False, lineterminator="\n"))])
    if trained_on is None:
        say(f"The detector learnt from {file} itself: about {contamination:.1%} are flagged in any case.")
    unknown = len(table) - found.known
    show(
        f"{out}: {len(table):,} rows, {found.flagged:,} flagged ({found.flagged / max(found.known, 1):.1%})"
        + (f", {unknown:,} without a verdict" if unknown else "")
        + ". In anomaly_score lower is more abnormal."
    )
    if found.quality is not None:
        show(f"By the labels in {found.label}: {_words(found.quality)}.")
    if found.rule is not None and found.quality is not None:
        show(f"The best rule of one metric, chosen by the labels: {found.rule}: {_words(found.rule.quality)}.")


def _words(quality: Quality) -> str:
    return f"precision {quality.precision:.3f}, recall {quality.recall:.3f}, F1 {quality.f1:.3f}"
