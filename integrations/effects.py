"""What each kind of effect does. Here the adapters meet; they do not know each other."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from approvals import services
from approvals.models import CodeComparison, Deployment, Effect, ModelVersion, Promotion, Target
from approvals.models.outbox import EffectKind
from approvals.services import ObservedFacts
from approvals.services.delivery import NotYet
from approvals.states import DeploymentStatus
from approvals.write_back import PROMOTION_TAG, SEAL_TAG, WriteBack, live_tag, moment_text
from integrations import pace
from integrations.errors import Rejected, Unavailable
from integrations.failpoints import reach
from integrations.github import compare as comparing
from integrations.github import dispatch as github
from integrations.github import gate
from integrations.github.client import credential, requester
from integrations.outbox import Handler, Later, done_with, same_behind
from integrations.polled import hurry

if TYPE_CHECKING:
    from integrations.mlflow.write_back import Order as RegistryOrder

D = DeploymentStatus
LOOKUP_EVERY_SECONDS = 3.0
QUEUE_EVERY_SECONDS = 3.0
# What only informs waits until GitHub has more to give.
SPARED_SECONDS = 300.0


def observe(target: Target, number: int) -> ObservedFacts:
    """Read the candidate (MLflow) and the workflow file (GitHub) afresh. Raises Unavailable, Rejected."""
    from integrations.mlflow.candidate import read_candidate

    candidate = read_candidate(target.model.registry_name, number)
    return ObservedFacts(
        version=candidate.version,
        metrics=candidate.metrics,
        artifact_bytes=candidate.artifact_bytes,
        signature=candidate.signature,
        workflow_digest=github.workflow_digest(
            target.model.repository, target.workflow, target.ref
        ),
    )


def _promotion_id(effect: Effect) -> int:
    if effect.promotion_id is None:
        raise RuntimeError(f"The effect {effect.pk} ({effect.kind}) is about no promotion.")
    return effect.promotion_id


def gather_facts(effect: Effect) -> None:
    """Seal the facts of a pending promotion, or say why they cannot be had."""
    promotion = Promotion.objects.select_related(
        "target__model", "target__live_version", "version"
    ).get(pk=_promotion_id(effect))
    if not promotion.is_pending:
        return
    try:
        observed = observe(promotion.target, promotion.version.number)
    except (Unavailable, Rejected) as error:
        services.record_facts_problem(promotion_id=promotion.pk, problem=str(error))
        raise
    _look_at_live_signature(promotion)
    services.record_facts(promotion_id=promotion.pk, observed=observed)


def _look_at_live_signature(promotion: Promotion) -> None:
    """What went live under an older release has no signature yet. Without one the gate is unknown, which is
    no reason to fail here."""
    from integrations.mlflow.candidate import read_signature

    live = promotion.target.live_version
    kinds = {each.get("kind") for each in promotion.policy.get("gates", ())}
    if live is None or live.signature or "signature" not in kinds or promotion.is_rollback:
        return
    try:
        signature = read_signature(
            promotion.target.model.registry_name, live.number, live.registered_at
        )
    except (Unavailable, Rejected, OSError):
        return
    services.record_signature(version_id=live.pk, signature=signature)


def dispatch(effect: Effect) -> None:
    """Start the workflow of a grant exactly once (docs/adr/0004)."""
    deployment = _deployment(effect)
    if not _in_hand(deployment, effect):
        return
    if deployment.status in {D.QUEUED, D.WAITING}:
        _fire(deployment, again_after=0)
    elif deployment.status == D.DISPATCHING:
        _look_up(deployment)


def look_up(effect: Effect) -> None:
    """A person had an unconfirmed run looked up once more, or ordered one more dispatch after that."""
    deployment = _deployment(effect)
    if not _in_hand(deployment, effect):
        return
    again_after = int(effect.payload["again_after"])
    if deployment.status == D.DISPATCHING:
        _look_up(deployment)
    elif deployment.status == D.UNCONFIRMED and not _found(deployment) and again_after:
        _fire(deployment, again_after)


def _in_hand(deployment: Deployment, effect: Effect) -> bool:
    """Whether the step that the effect is about is still the one in hand. Effects of older releases name none."""
    step = deployment.step
    return step is not None and not step.outcome and step.ordinal == effect.payload.get("step", 1)


def _deployment(effect: Effect) -> Deployment:
    return Deployment.objects.select_related(
        "promotion", "version__model", "target__model", "target__environment", "step"
    ).get(pk=effect.payload["deployment"])


def _fire(deployment: Deployment, again_after: int) -> None:
    try:
        services.refuse_too_early(deployment_id=deployment.pk)
    except NotYet as wait:
        services.note_delivery(deployment_id=deployment.pk, detail=str(wait))
        raise _later(wait) from wait
    step = deployment.step
    if step is None:
        raise RuntimeError(f"{deployment} has no step to fire.")
    try:
        # Taking a version out of service must not depend on whether it can still be read.
        observed = None if step.goes_back else observe(deployment.target, deployment.version.number)
        # A database restored from a backup may have forgotten that this grant was spent.
        earlier = _find(deployment)
        by = requester()
    except Rejected as error:
        services.stop_dispatch(deployment_id=deployment.pk, problem=str(error))
        raise
    reach("dispatch.gathered")
    try:
        order = services.begin_dispatch(
            deployment_id=deployment.pk,
            observed=observed,
            step=step.ordinal,
            again_after=again_after,
        )
        if order is None:
            # Raises once more where a person was asked something just now.
            services.refuse_too_early(deployment_id=deployment.pk)
            return
    except NotYet as wait:
        raise _later(wait) from wait
    reach("dispatch.committed")
    try:
        run = earlier or github.post(order, by)
    except Rejected as error:
        services.record_dispatch_refused(deployment_id=deployment.pk, detail=str(error))
        raise
    except Unavailable as error:
        services.postpone_dispatch(deployment_id=deployment.pk, detail=str(error))
        raise
    except github.Ambiguous as error:
        _still_looking(deployment, str(error))
    else:
        reach("dispatch.posted")
        services.record_dispatched(deployment_id=deployment.pk, run_id=run.run_id, url=run.url)
        hurry("repository", deployment.target.model.repository)


def _later(wait: NotYet) -> Later:
    """Look again soon; for a time that is known, when it comes, or in a minute in case it is moved."""
    seconds = QUEUE_EVERY_SECONDS
    if wait.until is not None:
        seconds = min(max((wait.until - timezone.now()).total_seconds(), seconds), 60.0)
    return Later(str(wait), seconds)


def _still_looking(deployment: Deployment, why: str) -> None:
    sentence = f"{why}. Looking the run up by its token; nothing is posted again."
    services.note_delivery(deployment_id=deployment.pk, detail=sentence)
    # A look at all its runs may find it as well.
    hurry("repository", deployment.target.model.repository)
    raise Later(sentence, LOOKUP_EVERY_SECONDS)


def _find(deployment: Deployment) -> github.Started | None:
    target = deployment.target
    return github.find(
        repository=target.model.repository,
        workflow=target.workflow,
        token=_token(deployment),
        # Asked before the first dispatch too: a database restored from a backup may have forgotten one.
        began_at=(deployment.step.began_at if deployment.step else None)
        or deployment.promotion.requested_at,
    )


def _token(deployment: Deployment) -> str:
    return deployment.step.token if deployment.step else deployment.promotion.token


def _found(deployment: Deployment) -> bool:
    """Look the run up by its token; record it when it is there."""
    run = _find(deployment)
    if run is None:
        return False
    services.record_dispatched(deployment_id=deployment.pk, run_id=run.run_id, url=run.url)
    return True


def _look_up(deployment: Deployment) -> None:
    """A dispatch was begun and its answer is not known: find the run, or after a while ask a person."""
    allowed = timedelta(seconds=settings.DISPATCH_LOOKUP_SECONDS)
    step = deployment.step
    began = (step.began_at if step else None) or deployment.created_at
    overdue = timezone.now() - began > allowed
    try:
        if _found(deployment):
            return
    except (Unavailable, Rejected) as error:
        # GitHub cannot be asked: not the same as "there is no run". Go on looking.
        services.note_delivery(deployment_id=deployment.pk, detail=str(error))
        raise
    if overdue:
        services.record_unconfirmed(
            deployment_id=deployment.pk,
            detail="The answer to the dispatch was lost and no run with its token "
            f"({_token(deployment)}) turned up. Look at GitHub, then decide.",
        )
        return
    _still_looking(deployment, "The answer to the dispatch was lost")


def set_alias(effect: Effect) -> None:
    """Write the live version to the registry, unless something newer is live by now."""
    from integrations.mlflow import write_back

    deployment = _deployment(effect)
    order = _registry_order(deployment, effect)
    if order is None:
        return

    def still_live() -> bool:
        return Target.objects.filter(live_deployment=deployment.pk).exists()

    before, overtaken = effect.payload.get("before"), True
    if still_live():
        before = services.keep_registry_before(
            effect_id=effect.pk, before=before or write_back.read(order)
        )
        overtaken = not write_back.write(order, still_live)
        reach("alias.written")
    if before is None:
        return  # nothing was ever written
    written = write_back.told(order, before, write_back.read(order), overtaken=overtaken)
    services.record_registry_written(
        effect_id=effect.pk, deployment_id=deployment.pk, written=written
    )


def _registry_order(deployment: Deployment, effect: Effect) -> RegistryOrder | None:
    """What the registry should say of the deployment; None when nothing is to be written."""
    from integrations.mlflow.write_back import Order, Which

    target, version, promotion = deployment.target, deployment.version, deployment.promotion
    wanted = WriteBack.of(target.alias, target.write_back)
    if not wanted.is_wanted:
        return None
    # Effects of older releases do not say what was live before.
    former_id = effect.payload.get("former", deployment.previous_id) or 0
    former = ModelVersion.objects.filter(pk=former_id).exclude(pk=version.pk).first()
    moment = deployment.finished_at or effect.created_at
    marks = {
        PROMOTION_TAG: str(promotion.pk),
        SEAL_TAG: promotion.seal,
        live_tag(target.environment.name): moment_text(moment),
    }
    # A version that is live in several environments tells of the last promotion, in whatever order it is written.
    newest = version.deployments.filter(status=D.SUCCEEDED).order_by("-finished_at", "-pk").first()
    if newest is not None and newest.pk != deployment.pk:
        tags = {live_tag(target.environment.name): moment_text(moment)}
    else:
        tags = marks
    return Order(
        model=target.model.registry_name,
        live=Which(version.number, version.registered_at),
        alias=wanted.alias,
        previous_alias=wanted.previous_alias,
        former=Which(former.number, former.registered_at) if former else None,
        tags=tags if wanted.tags else {},
        stage=wanted.stage,
        copy_to=wanted.copy_to,
        marks=marks,
    )


def announce(effect: Effect) -> None:
    """Bring the promotion's Slack message and its thread up to date, for all effects that ask for it by now."""
    from integrations.slack.announce import deliver

    # Read first: whatever asked for these is committed, so what is rendered below shows it.
    same = same_behind(effect)
    deliver(_promotion_id(effect), attempts=effect.attempts)
    done_with(same)


def alert(effect: Effect) -> None:
    """Tell the target's Slack channel, with mentions."""
    from integrations.slack.announce import alert as post

    post(effect)


def mail(effect: Effect) -> None:
    """An e-mail to each of the people it is for."""
    from integrations.mail.deliver import deliver

    deliver(effect)


def tell(effect: Effect) -> None:
    """A direct message to each of the people who want one."""
    from integrations.slack.direct import deliver

    deliver(effect)


def home(effect: Effect) -> None:
    """Bring a person's Home view up to date."""
    from integrations.slack.homes import publish

    publish(effect)


def unfold(effect: Effect) -> None:
    """Show below a message what the addresses in it lead to."""
    from integrations.slack.unfolding import deliver

    deliver(effect)


def compare(effect: Effect) -> None:
    """Read the commits between two versions; what GitHub does not know is said, and not asked for ever."""
    row = CodeComparison.objects.get(pk=effect.payload["comparison"])
    if pace.left(credential()).is_scarce:
        raise Later("GitHub's rate limit runs low; deployments go before this.", SPARED_SECONDS)
    try:
        read = comparing.read_comparison(row.repository, row.base, row.head)
    except Rejected as error:
        services.record_comparison(comparison_id=row.pk, problem=comparing.in_words(error))
    else:
        services.record_comparison(comparison_id=row.pk, read=read)


def answer_gate(effect: Effect) -> None:
    """Tell GitHub whether a run may pass the gate of an environment."""
    payload = effect.payload
    gate.answer(
        repository=payload["repository"],
        run_id=int(payload["run_id"]),
        environment=payload["environment"],
        asked=payload["asked"],
    )


HANDLERS: dict[str, Handler] = {
    EffectKind.GATHER_FACTS: gather_facts,
    EffectKind.DISPATCH: dispatch,
    EffectKind.LOOK_UP: look_up,
    EffectKind.SET_ALIAS: set_alias,
    EffectKind.ANNOUNCE: announce,
    EffectKind.ALERT: alert,
    EffectKind.MAIL: mail,
    EffectKind.TELL: tell,
    EffectKind.HOME: home,
    EffectKind.UNFOLD: unfold,
    EffectKind.COMPARE: compare,
    EffectKind.ANSWER_GATE: answer_gate,
}
