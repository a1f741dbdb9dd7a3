"""Brings the registry to what it should say once a version is live: first ``previous``, then the alias, the tags,
the stage, and the copy in a production-only model.

MLflow has neither transactions nor compare-and-swap. So every part reads first, writes what differs and reads
again; the whole may be repeated from the start at any time, and does nothing where nothing is left to do.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from approvals.wording import listed
from approvals.write_back import PROMOTION_TAG, SEAL_TAG
from integrations.errors import Rejected, Unavailable
from integrations.mlflow.aliases import point, points_to
from integrations.mlflow.candidate import moment
from integrations.mlflow.client import GONE, is_forbidden, mlflow, never_repeated

# So long a copy whose answer was lost may take to appear; looked for sooner, it would be made twice.
COPY_APPEARS_SECONDS = 30.0
COPY_READY_SECONDS = 60

Still = Callable[[], bool]


@dataclass(frozen=True)
class Which:
    """One version beyond doubt: a number may belong to another one after a model was deleted and made again."""

    number: int
    registered_at: datetime


@dataclass(frozen=True)
class Order:
    """What the registry should say. ``former`` is what was live before; ``tags`` go to the version, ``marks`` are
    the tags of the copy, by which it is found again. Empty where nothing is asked for."""

    model: str
    live: Which
    alias: str = ""
    previous_alias: str = ""
    former: Which | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    stage: str = ""
    copy_to: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)


class _Overtaken(Exception):
    """Something newer is live by now: nothing more may be written."""


def read(order: Order) -> dict[str, Any]:
    """What the registry says of all that the order is about, as plain data. Raises Unavailable, Rejected."""
    with mlflow() as client:
        version = _version(client, order)
        copy = _copy(client, order)
        return {
            "alias": points_to(client, order.model, order.alias) if order.alias else None,
            "previous": points_to(client, order.model, order.previous_alias)
            if order.previous_alias
            else None,
            "tags": {name: version.tags.get(name, "") for name in order.tags},
            "stage": version.current_stage or "",
            "copy": int(copy.version) if copy else None,
            "copy_alias": _copy_points_to(client, order),
        }


def write(order: Order, still: Still) -> bool:
    """Write what differs. ``still`` is asked right before each write whether the version is still the live one;
    False when it was not. Raises Unavailable, Rejected, with a sentence that says how far it came."""
    done: list[str] = []
    try:
        for name, part in _parts(order):
            with _named(name, done), mlflow() as client:
                part(client, order, lambda: _guard(still))
            done.append(name)
    except _Overtaken:
        return False
    return True


def _guard(still: Still) -> None:
    if not still():
        raise _Overtaken


Part = Callable[[MlflowClient, Order, Callable[[], None]], None]


def _parts(order: Order) -> Iterator[tuple[str, Part]]:
    if order.previous_alias and order.former:
        yield f"the alias {order.previous_alias}", _write_previous
    if order.alias:
        yield f"the alias {order.alias}", _write_alias
    if order.tags:
        yield "the tags", _write_tags
    if order.stage:
        yield f"the stage {order.stage}", _write_stage
    if order.copy_to:
        yield f"the copy in {order.copy_to}", _write_copy


@contextmanager
def _named(name: str, done: list[str]) -> Iterator[None]:
    """Say in the error what is not written and what is."""
    so_far = f" ({listed(done)}: done)" if done else ""
    try:
        yield
    except Unavailable as error:
        raise Unavailable(f"Not written yet: {name}{so_far}. {error}", error.after) from error
    except Rejected as error:
        raise Rejected(f"Not written: {name}{so_far}. {error}") from error


def _version(client: MlflowClient, order: Order) -> ModelVersion:
    number = order.live.number
    version = client.get_model_version(order.model, str(number))
    if moment(version.creation_timestamp) != order.live.registered_at:
        raise Rejected(
            f"MLflow's version {number} of {order.model} is not the one that went live: that one was deleted, and "
            "another was made under its number. Register it anew and promote that."
        )
    return version


def _former_is_there(client: MlflowClient, model: str, former: Which) -> bool:
    """The version that was live before is still registered, and the same."""
    try:
        version = client.get_model_version(model, str(former.number))
    except MlflowException as error:
        if error.error_code in GONE:
            return False
        raise
    return moment(version.creation_timestamp) == former.registered_at


def _write_previous(client: MlflowClient, order: Order, guard: Callable[[], None]) -> None:
    # One that was deleted since is no reason to leave the live version without its alias.
    if order.former and _former_is_there(client, order.model, order.former):
        point(client, order.model, order.previous_alias, order.former.number, guard)


def _write_alias(client: MlflowClient, order: Order, guard: Callable[[], None]) -> None:
    _version(client, order)
    point(client, order.model, order.alias, order.live.number, guard)


def _write_tags(client: MlflowClient, order: Order, guard: Callable[[], None]) -> None:
    present = _version(client, order).tags
    for name, value in order.tags.items():
        if present.get(name) != value:
            guard()
            client.set_model_version_tag(order.model, str(order.live.number), name, value)
    after = _version(client, order).tags
    wrong = [name for name, value in order.tags.items() if after.get(name) != value]
    if wrong:
        raise Unavailable(f"MLflow took {listed(wrong)} but reads something else.")


def _write_stage(client: MlflowClient, order: Order, guard: Callable[[], None]) -> None:
    if _version(client, order).current_stage == order.stage:
        return
    guard()
    with warnings.catch_warnings():
        # MLflow's own deprecation, known: docs/configuration.md says so beside the key.
        warnings.simplefilter("ignore", FutureWarning)
        client.transition_model_version_stage(
            order.model, str(order.live.number), order.stage, archive_existing_versions=True
        )
    after = _version(client, order).current_stage
    if after != order.stage:
        raise Unavailable(f"MLflow took the stage {order.stage} but reads {after}.")


def _write_copy(client: MlflowClient, order: Order, guard: Callable[[], None]) -> None:
    copy = _copy(client, order)
    if copy is None:
        source = _version(client, order)
        _make_room(client, order, guard)
        guard()
        try:
            with never_repeated():
                # What copy_model_version does, but with our tags from the first moment on.
                client.create_model_version(
                    order.copy_to,
                    _source(order),
                    run_id=source.run_id or None,
                    tags={**source.tags, **order.marks},
                    run_link=source.run_link or None,
                    description=source.description or None,
                    await_creation_for=COPY_READY_SECONDS,
                    model_id=source.model_id or None,
                )
        except MlflowException as error:
            if error.error_code == "INTERNAL_ERROR" and not is_forbidden(error):
                raise Unavailable(
                    "MLflow could not be reached, or failed, while it was made; it is looked for before it is "
                    "made again.",
                    COPY_APPEARS_SECONDS,
                ) from error
            raise
        copy = _copy(client, order)
        if copy is None:
            raise Unavailable(
                "MLflow took the copy but does not list it yet.", COPY_APPEARS_SECONDS
            )
    point(client, order.copy_to, order.alias, int(copy.version), guard)


def _make_room(client: MlflowClient, order: Order, guard: Callable[[], None]) -> None:
    """The registered model for the copies, where there is none yet."""
    try:
        client.get_registered_model(order.copy_to)
    except MlflowException as error:
        if error.error_code not in GONE:
            raise
        guard()
        try:
            client.create_registered_model(
                order.copy_to, description=f"Versions of {order.model} that went live."
            )
        except MlflowException as exists:
            if exists.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _source(order: Order) -> str:
    return f"models:/{order.model}/{order.live.number}"


def _copy(client: MlflowClient, order: Order) -> ModelVersion | None:
    """This promotion's copy; the first one, should there ever be two. Told by promotion, seal and source: tags
    alone are copied with a version."""
    if not order.copy_to:
        return None
    marked = client.search_model_versions(
        f"name = '{order.copy_to}' and tags.`{PROMOTION_TAG}` = '{order.marks[PROMOTION_TAG]}'"
    )
    found = [
        each
        for each in marked
        if each.source == _source(order) and each.tags.get(SEAL_TAG) == order.marks[SEAL_TAG]
    ]
    return min(found, key=lambda each: int(each.version), default=None)


def _copy_points_to(client: MlflowClient, order: Order) -> int | None:
    if not order.copy_to:
        return None
    try:
        return points_to(client, order.copy_to, order.alias)
    except MlflowException as error:
        if error.error_code in GONE:
            return None
        raise


def told(
    order: Order, before: Mapping[str, Any], after: Mapping[str, Any], *, overtaken: bool
) -> dict[str, Any]:
    """What the event ``registry.written`` holds (``services.record_registry_written``). Of an order that was
    overtaken only what it changed; empty when that is nothing."""
    data: dict[str, Any] = {}

    def wanted(key: str) -> bool:
        return not overtaken or before.get(key) != after.get(key)

    if order.alias and wanted("alias"):
        data |= {"alias": order.alias, "version": after["alias"], "before": before["alias"]}
    if order.previous_alias and order.former and wanted("previous"):
        if after["previous"] == order.former.number:
            data["previous"] = {
                "alias": order.previous_alias,
                "version": after["previous"],
                "before": before["previous"],
            }
        else:
            data["notes"] = [
                f"{order.previous_alias} stayed where it was: v{order.former.number}, which was live before, was "
                "deleted from MLflow"
            ]
    if order.tags and wanted("tags"):
        data["tags"] = after["tags"]
    if order.stage and wanted("stage"):
        data["stage"] = {"name": after["stage"], "before": before["stage"]}
    if order.copy_to and (wanted("copy") or wanted("copy_alias")) and after["copy"]:
        data["copy"] = {
            "model": order.copy_to,
            "alias": order.alias,
            "version": after["copy"],
            "before": before["copy_alias"],
        }
    if overtaken and data:
        data["notes"] = ["then something newer went live, so nothing more was written"]
    return data
