"""The rows that a command names; for what is not known, the names that may have been meant."""

from __future__ import annotations

from approvals.models import Environment, ModelVersion, Person, RegisteredModel, Target
from approvals.selectors.named import target_named, version_named
from approvals.services import Refused
from approvals.wording import listed
from integrations.models import SlackIdentity
from integrations.slack.identities import SlackUser
from integrations.slack.listeners.commands.words import Word, near
from integrations.slack.modals.asking import targets_at


def _named(word: Word, names: list[str], what: str, code: str) -> str:
    """The name meant: exactly, or the only one that differs in capitals. Raises Refused with the near ones."""
    said = word.text
    if said in names:
        return said
    alike = [each for each in names if each.casefold() == said.casefold()]
    if len(alike) == 1:
        return alike[0]
    close = near(said, names)
    if not names:
        hint = f"The configuration names no {what} yet."
    elif close:
        hint = f"Did you mean {listed(close, 'or')}?"
    elif len(names) <= 10:
        hint = f"There is {listed(names)}."
    else:
        hint = f"There are {len(names)}; leave it out, and a dialog lets you search them."
    raise Refused(code, f"There is no {what} “{said[:80]}”. {hint}")


def model_named(word: Word) -> RegisteredModel:
    """The registered model. Raises Refused (``unknown_model``)."""
    models = RegisteredModel.objects.filter(is_active=True)
    names = list(models.values_list("name", flat=True))
    return models.get(name=_named(word, names, "model", "unknown_model"))


def environment_named(word: Word) -> Environment:
    """The environment. Raises Refused (``unknown_environment``)."""
    environments = Environment.objects.filter(is_active=True)
    names = [each.name for each in environments]
    return environments.get(name=_named(word, names, "environment", "unknown_environment"))


def environment_at(word: Word, model: RegisteredModel) -> Target:
    """Where the model goes. Raises Refused (``unknown_environment``, ``unknown_target``)."""
    environment = environment_named(word)
    names = [each.environment.name for each in targets_at(model)]
    if environment.name not in names:
        where = f"It goes to {listed(names)}." if names else "It goes nowhere."
        raise Refused(
            "unknown_target",
            f"The configuration does not let {model.name} go to {environment.name}. {where}",
        )
    return target_named(model.name, environment.name)


def version_of(word: Word, model: RegisteredModel) -> ModelVersion:
    """The version of a word like ``v12`` or ``12``. Raises Refused (``unknown_version``)."""
    number = word.version
    newest = model.versions.filter(deleted_at=None).order_by("-number").first()
    has = f"The newest is v{newest.number}." if newest else "It has none yet."
    if number is None:
        raise Refused(
            "unknown_version", f"“{word.text[:80]}” is no version. Write v12 or 12. {has}"
        )
    try:
        return version_named(model.name, number)
    except Refused as refused:
        raise Refused(refused.code, f"{model.name} has no version {number}. {has}") from None


def colleague(word: Word, user: SlackUser) -> Person:
    """The person of a mention or a username. Raises Refused (``unknown_person``)."""
    if word.mention:
        return colleague_in_slack(word.mention, user)
    name = word.text.removeprefix("@")
    found = Person.objects.filter(username__iexact=name, is_active=True).first()
    if found is not None:
        return found
    names = Person.objects.filter(is_active=True, is_machine=False).values_list(
        "username", flat=True
    )
    close = near(name, list(names))
    hint = f" Did you mean {listed(close, 'or')}?" if close else ""
    raise Refused("unknown_person", f"There is nobody called “{name[:80]}”.{hint}")


def colleague_in_slack(user_id: str, user: SlackUser) -> Person:
    """The person of a Slack user of the same workspace. Raises Refused (``unknown_person``)."""
    identity = (
        SlackIdentity.objects.filter(team_id=user.team_id, user_id=user_id)
        .select_related("person")
        .first()
    )
    if identity is None:
        raise Refused(
            "unknown_person",
            "That colleague's Slack account is not linked: they can write `/countersign link`; or name "
            "them as Countersign does, such as `carol`.",
        )
    return identity.person


def slack_id_of(person: Person, user: SlackUser) -> str:
    """The Slack user of a person in the same workspace; empty for whoever is not linked there."""
    found = SlackIdentity.objects.filter(team_id=user.team_id, person=person).first()
    return found.user_id if found else ""
