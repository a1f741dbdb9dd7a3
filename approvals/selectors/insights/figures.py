"""The figures: which rows each one counts, in SQL over a family's columns, and its definition in words."""

from __future__ import annotations

from dataclasses import dataclass

# Fewer than this and a share or a percentile says little: the page shows the count and says so.
FEW = 10


@dataclass(frozen=True)
class Figure:
    """One figure. ``of`` are the rows that it is about; a share counts those of them that are ``counted``; a time
    measures ``seconds`` of them, and rows without are excluded and told. Exactly one of the two is set, neither
    for a plain count. ``better`` is ``higher``, ``lower`` or empty where neither direction is better; ``noun``
    names what it is about, ``hit_words`` and ``rest_words`` the counted
    ones of a share and the others, ``missing`` why a time may be unknown."""

    key: str
    name: str
    family: str
    of: str
    definition: str
    noun: str
    better: str = "lower"
    counted: str = ""
    seconds: str = ""
    missing: str = ""
    hit_words: str = ""
    rest_words: str = ""

    @property
    def kind(self) -> str:
        """``count``, ``share`` or ``time``."""
        return "share" if self.counted else "time" if self.seconds else "count"

    @property
    def condition(self) -> str:
        """The rows that the figure shows: its n, or the counted ones of a share."""
        if self.counted:
            return f"({self.of}) AND ({self.counted})"
        if self.seconds:
            return f"({self.of}) AND ({self.seconds}) IS NOT NULL"
        return self.of


CHANGE = "went_live AND NOT is_rollback"

FIGURES = {
    figure.key: figure
    for figure in (
        Figure(
            "frequency",
            "Deployment frequency",
            "deliveries",
            CHANGE,
            "How many promotions went live in the environment, and how many that is per week. A gradual rollout "
            "counts once, when everybody has it. Rollbacks do not count, nor does what was adopted after it had "
            "gone live past the gate. The day is the one on which it went live.",
            "promotions that went live",
            better="higher",
        ),
        Figure(
            "lead_time",
            "Lead time for changes",
            "deliveries",
            CHANGE,
            "From the moment at which MLflow registered the version to the moment at which it was live in this "
            "environment for everybody: the median of all promotions that went live in the period. A version "
            "that goes to staging and then to production is measured to each of them.",
            "promotions that went live",
            seconds="lead",
        ),
        Figure(
            "change_failure",
            "Change failure rate",
            "deliveries",
            "NOT is_rollback AND (went_live OR failed)",
            "Of the deployments that were begun and came to an end in the period, the share that failed: its "
            "workflow run failed; or its rollout went back; or it went live and the next thing that went live "
            "there was a rollback to another version; or it went live and its version was marked as bad there "
            "afterwards, and nobody has marked it as good since. Rollbacks themselves are not counted, nor what "
            "was called off before anything had happened. What failed later than the period still counts for the "
            "deployment's own day, so the newest days can only get worse.",
            "deployments that ended",
            counted="failed",
            hit_words="failed",
            rest_words="went well",
        ),
        Figure(
            "restore",
            "Time to restore",
            "deliveries",
            "NOT is_rollback AND failed AND served",
            "Of the failed changes that had served requests: from the moment at which the bad version was live to "
            "the moment at which the next other version that did not fail in its turn was live, by a rollback, a "
            "promotion or an adoption; for a rollout that went back, from its first share of requests until the "
            "former version served everybody again. The median. It counts for the day of the bad deployment. "
            "Failed runs that never served anybody need no restoring.",
            "failed changes that were restored",
            seconds="restored",
            missing="not restored yet",
        ),
        Figure(
            "approval",
            "Approval latency",
            "decisions",
            "by_people",
            "From the request to the decision, for every promotion and rollback that people approved or rejected "
            "in the period. Not counted: what was withdrawn, superseded or expired, what the policy or monitoring "
            "approved by itself, what was adopted after it had gone live, and what was approved by breaking the "
            "glass.",
            "requests that people decided",
            seconds="waited",
        ),
        Figure(
            "queue",
            "Queue time",
            "deliveries",
            "true",
            "From the approval (or the time for which it was scheduled, if that is later) to the start of the "
            "first workflow run: waiting behind other deployments, for freezes, or for us.",
            "deployments that ended",
            seconds="queued",
            missing="without a known start",
        ),
        Figure(
            "duration",
            "Deployment duration",
            "deliveries",
            "went_live",
            "From the start of the first workflow run to the moment at which everybody has the version: all steps "
            "of a rollout and the waits between them. Promotions and rollbacks that went live.",
            "deployments that went live",
            seconds="took",
            missing="without a known start",
        ),
        Figure(
            "training_lead",
            "Training to live",
            "deliveries",
            CHANGE,
            "From the start of the training run in MLflow to the moment at which its version was live in this "
            "environment.",
            "promotions that went live",
            seconds="training_lead",
            missing="without a known training run",
        ),
        Figure(
            "rollback_time",
            "Rollback time",
            "deliveries",
            "went_live AND is_rollback",
            "From the request of a rollback, by a person or by monitoring, to the moment at which the former "
            "version was live again.",
            "rollbacks that went live",
            seconds="asked_to_live",
        ),
        Figure(
            "rollbacks",
            "Rollback rate",
            "deliveries",
            "went_live",
            "Of everything that went live through Countersign, the share that were rollbacks.",
            "deployments that went live",
            counted="is_rollback",
            hit_words="rollbacks",
            rest_words="promotions",
        ),
        Figure(
            "out_of_band",
            "Out-of-band changes",
            "changes",
            "true",
            "Of everything that changed what is live, or seemed to, the share that was declared as an out-of-band "
            "change: it came about without a promotion, whatever was answered later. The day is the one on which "
            "it was declared. Nobody asked for these, so there are none where one team's requests are chosen.",
            "changes",
            counted="out_of_band",
            hit_words="out-of-band",
            rest_words="by promotions",
        ),
        Figure(
            "overrides",
            "Broken glass",
            "decisions",
            "approved",
            "Of the promotions and rollbacks that were approved in the period, the share that was approved by "
            "breaking the glass.",
            "approvals",
            counted="overridden",
            hit_words="glass broken",
            rest_words="by the rules",
        ),
        Figure(
            "run_success",
            "Run success",
            "runs",
            "true",
            "Of the deployment workflow's runs that ended in the period, one for each step of a rollout, the "
            "share that succeeded. Cancelled runs are not counted.",
            "runs that ended",
            better="higher",
            counted="succeeded",
            hit_words="succeeded",
            rest_words="failed",
        ),
        Figure(
            "run_duration",
            "Run duration",
            "runs",
            "succeeded",
            "From the start to the end of each of the deployment workflow's runs that succeeded, by GitHub's "
            "clock.",
            "runs that succeeded",
            seconds="took",
            missing="without known times",
        ),
    )
}
FOUR = ("frequency", "lead_time", "change_failure", "restore")
OTHERS = tuple(key for key in FIGURES if key not in FOUR)
