"""``manage.py policy``: the decision table in force, and why a promotion stands as it does."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals.explain import explain
from approvals.models import ModelVersion, Person, Target
from approvals.policies import Requirement
from approvals.rules import Policy
from approvals.services import Refused
from approvals.services.cases import team_words
from approvals.services.promotions import refuse_request
from approvals.states import PromotionKind, PromotionStatus


class Command(BaseCommand):
    """Reads only; what it prints is what the verbs would say."""

    help = "Print the decision table (table), or explain one target (explain)."

    def add_arguments(self, parser: CommandParser) -> None:
        """``table``, or ``explain MODEL ENVIRONMENT [--version N] [--as USERNAME]``."""
        commands = parser.add_subparsers(dest="what", required=True)
        commands.add_parser("table", help="models × environments × who must approve")
        explained = commands.add_parser(
            "explain", help="who may approve here, what is missing, why"
        )
        explained.add_argument("model")
        explained.add_argument("environment")
        explained.add_argument("--version", type=int, dest="number", help="may it be asked for?")
        explained.add_argument("--as", dest="username", help="for whom")

    def handle(self, *args: Any, **options: Any) -> None:
        """Dispatch to the subcommand."""
        if options["what"] == "table":
            self._table()
        else:
            self._explain(options)

    def _table(self) -> None:
        rows = [("MODEL", "ENVIRONMENT", "PROMOTION", "ROLLBACK", "MAY ASK")]
        for target in Target.objects.filter(is_active=True).select_related("model", "environment"):
            policy = Policy.from_data(target.policy)
            own = " (the requester too)" if policy.rollback_requester_may_approve else ""
            rows.append(
                (
                    target.model.name,
                    target.environment.name,
                    in_words(policy.promote),
                    in_words(policy.rollback) + own,
                    ", ".join(policy.requesters),
                )
            )
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        for row in rows:
            line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
            self.stdout.write(line.rstrip())

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
        policy = Policy.from_data(target.policy)
        self.stdout.write(f"{target}: {target.live_version or 'nothing'} is live.")
        self.stdout.write(f"A promotion needs {in_words(policy.promote)}.")
        self.stdout.write(f"A rollback needs {in_words(policy.rollback)}.")
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


def in_words(requirements: tuple[Requirement, ...]) -> str:
    """``1 of ml-leads and 1 of risk``."""
    return " and ".join(f"{row.count} of {team_words(row.teams)}" for row in requirements)
