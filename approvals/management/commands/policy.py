"""``manage.py policy``: the decision table in force, and why a promotion stands as it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from approvals.configuration import ConfigurationError, load
from approvals.explain import explain
from approvals.models import ModelVersion, Person, Target
from approvals.policy_words import UNREADABLE, promotion_words, rollback_words
from approvals.rules import Policy
from approvals.selectors import policies
from approvals.selectors.differences import differences
from approvals.selectors.simulation import (
    DAYS,
    EFFECTS,
    LESS,
    MORE,
    MOST_DAYS,
    SAME,
    UNJUDGED,
    simulate,
)
from approvals.services import Refused
from approvals.services.cases import NOT_A_POLICY
from approvals.services.promotions import refuse_request
from approvals.states import PromotionKind, PromotionStatus


class Command(BaseCommand):
    """Reads only; what it prints is what the verbs would say."""

    help = (
        "Print what is in force (table), explain one target (explain), or try another file on the past "
        "(simulate)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """``table``, ``explain MODEL ENVIRONMENT [--version N] [--as USERNAME]``, or ``simulate --file FILE``."""
        commands = parser.add_subparsers(dest="what", required=True)
        commands.add_parser("table", help="models × environments × who must approve")
        explained = commands.add_parser(
            "explain", help="who may approve here, what is missing, why"
        )
        explained.add_argument("model")
        explained.add_argument("environment")
        explained.add_argument("--version", type=int, dest="number", help="may it be asked for?")
        explained.add_argument("--as", dest="username", help="for whom")

        tried = commands.add_parser(
            "simulate", help="what another file would have made of the last weeks"
        )
        tried.add_argument("--file", type=Path, required=True, help="the proposed file")
        tried.add_argument(
            "--days", type=int, default=DAYS, help=f"1 to {MOST_DAYS}, default {DAYS}"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Dispatch to the subcommand."""
        if options["what"] == "table":
            self._table()
        elif options["what"] == "simulate":
            self._simulate(options["file"], options["days"])
        else:
            self._explain(options)

    def _table(self) -> None:
        """First the overview, one line a target; then everything that holds at each."""
        told = policies.table(timezone.now())
        rows = [("MODEL", "ENVIRONMENT", "PROMOTION", "ROLLBACK", "MAY ASK")]
        for each in told:
            words = [each.words(label) for label in ("Promotion", "Rollback", "May ask")]
            rows.append((each.model, each.environment, words[0], words[1], words[2]))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        for row in rows:
            line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
            self.stdout.write(line.rstrip())
        for each in told:
            self.stdout.write(f"\n{each.target}")
            for sentence in each.sentences:
                self.stdout.write(f"  {sentence}")

    def _simulate(self, path: Path, days: int) -> None:
        """The differences, one sentence a promotion that would differ or cannot be judged, the counts."""
        try:
            proposed = load(path).configuration
            result = simulate(proposed, days, timezone.now())
        except ConfigurationError as error:
            raise CommandError(f"the configuration cannot be used:\n{error}") from None
        except ValueError as error:
            raise CommandError(str(error)) from None
        changes = differences(proposed)
        self.stdout.write(f"{len(changes)} differences from what is in force:")
        for change in changes:
            self.stdout.write(f"- {change.sentence}")
        self.stdout.write("")
        for effect in (LESS, MORE, UNJUDGED, SAME):
            for each in result.of(effect):
                self.stdout.write(f"{EFFECTS[effect]:12}  {each.sentence}")
        for sentence in result.summary:
            self.stdout.write(sentence)
        self.stdout.write("Nothing was stored or applied.")

    def _explain(self, options: dict[str, Any]) -> None:
        target = (
            Target.objects.filter(
                model__name=options["model"], environment__name=options["environment"]
            )
            .select_related("model", "environment", "live_version__model")
            .first()
        )
        if target is None:
            raise CommandError(
                f"{options['model']} in {options['environment']} is not configured; "
                "`policy table` lists what is."
            )
        person = self._person(options["username"])
        self.stdout.write(f"{target}: {target.live_version or 'nothing'} is live.")
        try:
            policy = Policy.from_data(target.policy)
        except NOT_A_POLICY:
            self.stdout.write(f"The policy is {UNREADABLE}.")
        else:
            self.stdout.write(f"A promotion needs {promotion_words(policy)}.")
            self.stdout.write(f"A rollback needs {rollback_words(policy)}.")
        if options["number"] is not None:
            self._may_ask(target, options["number"], person)
        pending = target.promotions.filter(status=PromotionStatus.PENDING).select_related(
            "version__model", "target__environment"
        )
        for promotion in pending:
            self.stdout.write(f"\n{promotion}")
            explained = explain(promotion, person)
            for sentence in explained.sentences:
                self.stdout.write(f"  {sentence}")
            if person is not None:
                self.stdout.write(f"  {person}: {explained.you}")

    def _person(self, username: str | None) -> Person | None:
        if username is None:
            return None
        person = Person.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"Nobody is called {username!r}.")
        return person

    def _may_ask(self, target: Target, number: int, person: Person | None) -> None:
        version = ModelVersion.objects.filter(
            model=target.model, number=number, deleted_at=None
        ).first()
        if version is None:
            raise CommandError(f"{target.model.name} has no version {number}.")
        if person is None:
            raise CommandError("Say for whom with --as: who asks decides whether it can be asked.")
        try:
            refuse_request(actor=person, target=target, version=version, kind=PromotionKind.PROMOTE)
        except Refused as refused:
            self.stdout.write(f"{person} cannot ask for {version}: {refused.sentence}")
        else:
            self.stdout.write(f"{person} can ask for {version}.")
        for sentence in policies.asked_of(
            version, target, timezone.now(), asked_by=person
        ).sentences:
            self.stdout.write(f"  {sentence}")
