"""A challenger beside the champion: starting the test, scoring what has come since, taking over."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mora.errors import BadInput, BadModel, MoraError, NotEnoughData
from mora.model import versions as store
from mora.model.catalogue import DEFAULT_NAMESPACE, list_models, model_folder
from mora.model.layout import short, version_folder
from mora.model.versions import Versions
from mora.pipeline.tracking import follow_roles

if TYPE_CHECKING:
    from mora.backtest.history import History
    from mora.model import ServiceModel
    from mora.model.trial import Standing
    from mora.model.trial_record import Trial
    from mora.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data and the models of a service are."""

    service: str
    data_dir: Path | str = "data"
    models_dir: Path | str = "models"
    namespace: str = DEFAULT_NAMESPACE

    @property
    def folder(self) -> Path:
        """Of the service's versions."""
        return model_folder(self.models_dir, self.service, self.namespace)


@dataclass(frozen=True, slots=True)
class Compared:
    """A test as it stands, or the error that kept it from being scored. data_until: when the data at hand ends."""

    service: str
    trial: Trial | None
    standing: Standing | None
    data_until: datetime | None = None
    error: MoraError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        trial, now = self.trial, self.standing
        found: dict[str, Any] = {
            "service": self.service,
            "problem": None if self.error is None else self.error.message,
            "data_until": None if self.data_until is None else self.data_until.isoformat(),
        }
        if trial is None or now is None:
            return found
        ended = trial.ended
        return {
            **found,
            "champion": trial.champion,
            "challenger": trial.challenger,
            "started_at": trial.started_at.isoformat(),
            "alpha": trial.alpha,
            "evidence_needed": now.needed,
            "evidence": {
                str(seconds): {"for": better, "against": worse} for seconds, (better, worse) in now.evidence.items()
            },
            "errors": [
                {
                    "horizon_seconds": side.horizon_seconds,
                    "target": side.target.value,
                    "windows": side.windows,
                    "champion": side.champion,
                    "challenger": side.challenger,
                }
                for side in now.sides
            ],
            "outcome": ended.outcome if ended else now.outcome or None,
            "why": ended.why if ended else now.why or None,
        }


def start_trial(
    place: Place, *, at: datetime, challenger: str | None = None, alpha: float | None = None, longest: timedelta | None
) -> Trial:
    """Try a version beside the champion on the windows that come from now on.

    challenger: the beginning of its digest; by default the newest version that is not the champion. A test that runs is
    replaced by it. Raises BadInput where there is no such version or the settings cannot be, NotEnoughData where the
    two cannot be compared.
    """
    from mora.model import trial as trials
    from mora.model import trial_record as records

    before = store.known_versions(place.folder)
    digest = _challenger(before, challenger, place.service)
    champion, other = _load(place, before.champion), _load(place, digest)
    alpha = records.ALPHA if alpha is None else alpha
    days = records.LONGEST_DAYS if longest is None else longest.total_seconds() / 86_400
    if not records.LEAST_ALPHA <= alpha <= records.MOST_ALPHA:
        raise BadInput(f"The risk of a wrong takeover is a share between 0 and {records.MOST_ALPHA:g}, not {alpha:g}.")
    if not records.LEAST_DAYS <= days <= records.MOST_DAYS:
        raise BadInput(
            f"A test takes {records.LEAST_DAYS:g} to {records.MOST_DAYS:,g} days of coming data, not {days:.3g}."
        )
    history = _history(place)
    begins = max(_end(history), _seen_until(champion, history), _seen_until(other, history))
    found = trials.begin(champion, other, history, at=at, begins=begins, alpha=alpha, longest_days=days)
    # The record first: a challenger without one would begin where its training ended.
    record = records.as_file(place.folder, found)
    store.change(place.folder, replace(before, challenger=digest), before=before, record=[record])
    return found


def look(place: Place, *, at: datetime, is_dry: bool = False) -> Compared:
    """Score the windows that have ended since, and let the challenger take over where that is decided.

    is_dry: only look; nothing is written, no one takes over. Raises BadInput where no challenger is tried, MoraError
    where the data or the models cannot be read.
    """
    from mora.model import trial as trials
    from mora.model import trial_record as records

    before = store.known_versions(place.folder)
    recorded = records.read_trial(place.folder)
    if before.challenger is None:
        if recorded is not None:
            recorded = _closed(recorded, before)
            return Compared(place.service, recorded, trials.standing(recorded))
        raise BadInput(
            f"No challenger of {place.service!r} is tried.",
            hint=f"Train one: mora train {place.service} --challenger. Or try a version that there is: mora ab start "
            f"{place.service}",
        )
    champion, challenger = _load(place, before.champion), _load(place, before.challenger)
    history = _history(place)
    is_this = recorded is not None and (recorded.champion, recorded.challenger) == (champion.digest, challenger.digest)
    if recorded is None or not is_this:
        begins = max(_seen_until(champion, history), _seen_until(challenger, history))
        recorded = trials.begin(champion, challenger, history, at=at, begins=begins)
    elif recorded.ended is not None and recorded.ended.outcome == "stopped":  # and taken up again
        recorded = replace(recorded, ended=None)
    until = _end(history)
    # One that has ended was decided, and the process killed before its challenger was none any more.
    trial = recorded if recorded.ended is not None else trials.advance(recorded, champion, challenger, history)
    now = trials.standing(trial, known_until=until)
    if trial.ended is None and now.outcome:
        trial = replace(trial, ended=records.Ended(at, now.outcome, now.why))
    after = before
    if trial.ended is not None:
        after = replace(before, challenger=None)
        if trial.ended.outcome == "takeover":
            why = f"took over from {short(champion.digest)}: {trial.ended.why}"
            after = before.with_champion(challenger.digest, at=at, why=why)
    if not is_dry:
        store.change(place.folder, after, before=before, record=[records.as_file(place.folder, trial)])
    return Compared(place.service, trial, now, datetime.fromtimestamp(until, UTC))


def _closed(trial: Trial, known: Versions) -> Trial:
    """The record of a service that has no challenger: a test that a training or a rollback ended has not noted it."""
    from mora.model import trial_record as records

    if trial.ended is not None:
        return trial
    why = "it was stopped before anything was decided"
    if known.champion != trial.champion:
        why = f"version {short(known.champion)} became the champion before anything was decided"
    return replace(trial, ended=records.Ended(known.turns[-1].at, "stopped", why))


def look_all(place: Place, services: Sequence[str], *, at: datetime, is_dry: bool = False) -> list[Compared]:
    """look() at each of the services that have a challenger, or had a test; one that fails does not stop the others."""
    found = []
    for service in services:
        own = replace(place, service=service)
        try:
            found.append(look(own, at=at, is_dry=is_dry))
        except MoraError as failure:
            found.append(Compared(service, None, None, error=failure))
    return found


def score_challengers(settings: Settings, services: Collection[str]) -> list[str]:
    """look() at those of the services that have a challenger, after more of their data has come; a line for each."""
    lines: list[str] = []
    ended_now: list[str] = []
    names = [name for name in challenged(settings.models_dir, settings.namespace) if name in services]
    for one in look_all(
        Place("", settings.data_dir, settings.models_dir, settings.namespace), names, at=datetime.now(UTC)
    ):
        if one.error is not None:
            lines.append(f"{one.service}: the challenger is not scored: {one.error.message}")
        elif one.trial is not None and one.standing is not None:
            ended, challenger = one.trial.ended, short(one.trial.challenger)
            if ended is None:
                how = f"challenger {challenger}: {len(one.trial.windows)} forecasts are scored, nothing is decided"
            elif ended.outcome == "takeover":
                back = f"To go back: mora models rollback {one.service}"
                how = f"challenger {challenger} has taken over: {ended.why}. {back}"
            else:
                how = f"the champion stays, the test of challenger {challenger} has ended: {ended.why}"
            lines.append(f"{one.service}: {how}")
            if ended is not None:
                ended_now.append(one.service)
    return [*lines, *follow_roles(ended_now, settings)]


def challenged(models_dir: Path | str, namespace: str = DEFAULT_NAMESPACE) -> list[str]:
    """The services of a namespace in which a challenger is tried, sorted."""
    found = []
    for service in list_models(models_dir, namespace):
        try:
            known = store.read_versions(model_folder(models_dir, service, namespace))
        except BadModel:
            continue  # `mora models list` tells of it
        if known is not None and known.challenger is not None:
            found.append(service)
    return found


def stop_trial(place: Place, *, at: datetime) -> Versions:
    """End the test of a service; the champion stays, and the challenger is kept as a version. BadInput without one."""
    from mora.model import trial_record as records

    before = store.known_versions(place.folder)
    if before.challenger is None:
        raise BadInput(f"No challenger of {place.service!r} is tried.")
    recorded = records.read_trial(place.folder)
    record: list[tuple[Path, str]] = []
    if recorded is not None and recorded.ended is None and recorded.challenger == before.challenger:
        ended = records.Ended(at, "stopped", "it was stopped before anything was decided")
        record = [records.as_file(place.folder, replace(recorded, ended=ended))]
    store.change(place.folder, replace(before, challenger=None), before=before, record=record)
    return before


def _challenger(known: Versions, named: str | None, service: str) -> str:
    if named is not None:
        digest = known.named(named, service)
        if digest == known.champion:
            raise BadInput(f"Version {short(digest)} is the champion of {service!r}: it cannot challenge itself.")
        return digest
    others = [digest for digest in known.newest_first if digest != known.champion]
    if not others:
        raise BadInput(
            f"{service!r} has no other version than its champion {short(known.champion)}.",
            hint=f"Train a challenger: mora train {service} --challenger",
        )
    return others[0]


def _load(place: Place, digest: str) -> ServiceModel:
    from mora.model import ServiceModel

    return ServiceModel.load(version_folder(place.folder, digest), digest=digest)


def _history(place: Place) -> History:
    from mora import dataset
    from mora.backtest.history import history_of
    from mora.metrics import OBSERVED_SCENARIO

    frame = dataset.read_samples(place.service, place.data_dir, namespace=place.namespace).frame
    observed = frame[frame["scenario"] == OBSERVED_SCENARIO]
    if observed.empty:
        raise NotEnoughData(
            f"There is no history of {place.service!r} in {place.data_dir}, so no coming window can be scored.",
            hint="Collect it: mora collect --history 14d",
        )
    return history_of(observed, place.service)


def _end(history: History) -> float:
    return float(history.series.start + history.series.sample_count * history.series.step_seconds)


def _seen_until(model: ServiceModel, history: History) -> float:
    """When the last sample ends that a model was trained on; epoch seconds."""
    return datetime.fromisoformat(model.card["last_sample"]).timestamp() + history.series.step_seconds
