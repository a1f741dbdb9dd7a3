"""What the figures count, as SQL: one statement for each family of rows.

The page's figures aggregate these rows and the lists show them, so a figure and its list cannot disagree. All
values are parameters; ``%(begin)s`` and ``%(end)s`` bound the moment that places a row in a period,
``%(targets)s`` and ``%(people)s`` are lists of ids or NULL for all. Every row has ``promotion_id`` or
``change_id``, ``target_id``, ``requester_id`` and ``moment``; lengths are in seconds, NULL where one of the two
times is not known.
"""

from __future__ import annotations


def _narrowed(rows: str, target: str) -> str:
    """The statement, about the chosen targets and requesters alone; ``target`` is its column."""
    return f"""{rows}
  AND (%(targets)s::bigint[] IS NULL OR {target} = ANY(%(targets)s))
  AND (%(people)s::bigint[] IS NULL OR p.requester_id = ANY(%(people)s))
"""


# One row for each deployment that was begun and has ended. Found from the few rollbacks and marks, not by asking
# for each deployment: "undone" are the versions that had to be taken out again after they had gone live. That an
# end IS NOT NULL is said although it follows: only then does PostgreSQL use the index deployment_by_target_end.
DELIVERIES = _narrowed(
    """
WITH undone AS MATERIALIZED (
  SELECT former.id
  FROM approvals_promotion asked
  JOIN approvals_deployment back ON back.promotion_id = asked.id
  CROSS JOIN LATERAL (
    SELECT earlier.id, earlier.version_id FROM approvals_deployment earlier
    WHERE earlier.target_id = back.target_id AND earlier.status = 'succeeded'
      AND earlier.finished_at IS NOT NULL AND (earlier.finished_at, earlier.id) < (back.finished_at, back.id)
    ORDER BY earlier.finished_at DESC, earlier.id DESC LIMIT 1
  ) former
  WHERE asked.kind = 'rollback'
    AND back.status = 'succeeded' AND back.finished_at >= %(begin)s
    AND former.version_id <> back.version_id
    AND (%(targets)s::bigint[] IS NULL OR back.target_id = ANY(%(targets)s))
  UNION
  SELECT latest.id
  FROM approvals_mark mark
  CROSS JOIN LATERAL (
    SELECT earlier.id FROM approvals_deployment earlier
    WHERE earlier.target_id = mark.target_id AND earlier.version_id = mark.version_id
      AND earlier.status = 'succeeded'
      AND earlier.finished_at IS NOT NULL AND earlier.finished_at <= mark.placed_at
    ORDER BY earlier.finished_at DESC, earlier.id DESC LIMIT 1
  ) latest
  WHERE mark.kind = 'bad' AND mark.placed_at >= %(begin)s
    AND (%(targets)s::bigint[] IS NULL OR mark.target_id = ANY(%(targets)s))
    AND NOT EXISTS (
      SELECT FROM approvals_mark newer
      WHERE newer.target_id = mark.target_id AND newer.version_id = mark.version_id
        AND newer.kind = 'good' AND (newer.placed_at, newer.id) > (mark.placed_at, mark.id)
    )
)
SELECT
  d.promotion_id, NULL::bigint AS change_id, d.target_id, p.requester_id, d.finished_at AS moment,
  p.kind = 'rollback' AS is_rollback,
  d.status = 'succeeded' AS went_live,
  d.status = 'failed' OR d.aborting <> '' OR undone.id IS NOT NULL AS failed,
  d.status = 'succeeded' OR serving.began_at IS NOT NULL AS served,
  extract(epoch FROM d.finished_at - v.registered_at)::float8 AS lead,
  extract(epoch FROM d.finished_at - v.run_started_at)::float8 AS training_lead,
  extract(epoch FROM s.began_at - greatest(p.decided_at, p.run_at))::float8 AS queued,
  extract(epoch FROM d.finished_at - s.began_at)::float8 AS took,
  extract(epoch FROM d.finished_at - p.requested_at)::float8 AS asked_to_live,
  CASE
    WHEN d.status = 'succeeded' THEN extract(epoch FROM good.finished_at - d.finished_at)::float8
    ELSE extract(epoch FROM d.finished_at - serving.began_at)::float8
  END AS restored
FROM approvals_deployment d
JOIN approvals_promotion p ON p.id = d.promotion_id
JOIN approvals_modelversion v ON v.id = d.version_id
JOIN approvals_step s ON s.deployment_id = d.id AND s.ordinal = 1
LEFT JOIN undone ON undone.id = d.id
LEFT JOIN LATERAL (
  SELECT later.finished_at FROM approvals_deployment later
  WHERE undone.id IS NOT NULL AND later.target_id = d.target_id AND later.status = 'succeeded'
    AND later.finished_at IS NOT NULL AND (later.finished_at, later.id) > (d.finished_at, d.id)
    AND later.version_id <> d.version_id AND later.id NOT IN (SELECT id FROM undone)
  ORDER BY later.finished_at, later.id LIMIT 1
) good ON true
-- Since when a rollout that came to nothing had served a share of the requests.
LEFT JOIN LATERAL (
  SELECT min(each.finished_at) AS began_at FROM approvals_step each
  WHERE d.status <> 'succeeded' AND each.deployment_id = d.id
    AND each.index IS NOT NULL AND each.percent > 0 AND each.outcome = 'succeeded'
) serving ON true
WHERE d.finished_at >= %(begin)s AND d.finished_at < %(end)s
  AND d.status IN ('succeeded', 'failed', 'cancelled') AND NOT p.retroactive
  AND (s.began_at IS NOT NULL OR d.status = 'succeeded')
""",
    "d.target_id",
)

# One row for each promotion that was decided. "by_people": a rejection, or an approval with at least one review
# that counts; what a policy or monitoring approved by itself, and broken glass, waited for nobody. Asked with
# LIMIT, because EXISTS makes PostgreSQL read all reviews that there ever were.
DECISIONS = _narrowed(
    """
SELECT
  p.id AS promotion_id, NULL::bigint AS change_id, p.target_id, p.requester_id, p.decided_at AS moment,
  p.status = 'approved' AS approved,
  p.overridden_by_id IS NOT NULL AS overridden,
  p.status IN ('cancelled', 'expired', 'superseded') AS withdrawn,
  p.status = 'rejected' OR (
    p.status = 'approved' AND p.overridden_by_id IS NULL AND (
      SELECT true FROM approvals_review r
      WHERE r.promotion_id = p.id AND r.verdict = 'approve' AND r.voided_at IS NULL LIMIT 1
    ) IS NOT NULL
  ) AS by_people,
  extract(epoch FROM p.decided_at - p.requested_at)::float8 AS waited
FROM approvals_promotion p
WHERE p.decided_at >= %(begin)s AND p.decided_at < %(end)s AND NOT p.retroactive
""",
    "p.target_id",
)

# One row for each line of the sealed policy of each promotion that people approved: the moment at which so many
# different members of its teams had approved. The membership is today's: nobody keeps the one of then. Which
# promotions is found first, from the index alone; who is in the teams once for each line that differs.
_APPROVED = _narrowed(
    """
SELECT p.id FROM approvals_promotion p
WHERE p.decided_at >= %(begin)s AND p.decided_at < %(end)s AND NOT p.retroactive
  AND p.status = 'approved' AND p.overridden_by_id IS NULL
""",
    "p.target_id",
)
REQUIREMENTS = f"""
WITH approved AS MATERIALIZED ({_APPROVED}), lines AS MATERIALIZED (
  SELECT p.id AS promotion_id, p.target_id, p.requester_id, p.decided_at, p.requested_at,
    wanted.line -> 'teams' AS teams, (wanted.line ->> 'count')::int AS count
  FROM approved
  JOIN approvals_promotion p ON p.id = approved.id
  CROSS JOIN LATERAL jsonb_array_elements(
    CASE jsonb_typeof(p.facts #> '{{policy,requirements}}')
      WHEN 'array' THEN p.facts #> '{{policy,requirements}}' ELSE '[]'::jsonb END
  ) AS wanted(line)
), seats AS MATERIALIZED (
  SELECT teams,
    (SELECT string_agg(slug, ' or ' ORDER BY place)
       FROM jsonb_array_elements_text(teams) WITH ORDINALITY AS named(slug, place)
    ) AS team,
    ARRAY(
      SELECT m.person_id FROM approvals_membership m JOIN approvals_team t ON t.id = m.team_id
      WHERE teams ? t.slug
    ) AS people
  FROM (SELECT DISTINCT teams FROM lines) AS different
)
SELECT
  lines.promotion_id, NULL::bigint AS change_id, lines.target_id, lines.requester_id,
  lines.decided_at AS moment, seats.team,
  extract(epoch FROM (
    SELECT r.created_at FROM approvals_review r
    WHERE r.promotion_id = lines.promotion_id AND r.verdict = 'approve' AND r.voided_at IS NULL
      AND coalesce(r.on_behalf_of_id, r.person_id) = ANY(seats.people)
    ORDER BY r.created_at, r.id OFFSET greatest(lines.count - 1, 0) LIMIT 1
  ) - lines.requested_at)::float8 AS met
FROM lines JOIN seats ON seats.teams = lines.teams
"""  # noqa: S608 - put together from constants of ours

# One row for each workflow run that delivered a step and has ended. Every deployment has a promotion: the outer
# join lets PostgreSQL leave it out where nothing is asked of the requester.
RUNS = _narrowed(
    """
SELECT
  d.promotion_id, NULL::bigint AS change_id, d.target_id, p.requester_id, s.finished_at AS moment,
  s.outcome = 'succeeded' AS succeeded,
  CASE WHEN run.status = 'completed' THEN extract(epoch FROM run.updated_at - run.started_at)::float8
  END AS took
FROM approvals_step s
JOIN approvals_deployment d ON d.id = s.deployment_id
LEFT JOIN approvals_promotion p ON p.id = d.promotion_id
JOIN approvals_workflowrun run ON run.id = s.workflow_run_id
WHERE s.finished_at >= %(begin)s AND s.finished_at < %(end)s AND s.outcome IN ('succeeded', 'failed')
""",
    "d.target_id",
)

# All that changed what is live: what went live by a promotion, and what was declared as out-of-band. Nobody asked
# for the latter, so there is none of it where only one team's requests are looked at.
_WENT_LIVE = _narrowed(
    """
SELECT
  d.promotion_id, NULL::bigint AS change_id, d.target_id, p.requester_id, d.finished_at AS moment,
  false AS out_of_band
FROM approvals_deployment d
JOIN approvals_promotion p ON p.id = d.promotion_id
WHERE d.finished_at >= %(begin)s AND d.finished_at < %(end)s AND d.status = 'succeeded' AND NOT p.retroactive
""",
    "d.target_id",
)
_OUT_OF_BAND = """
SELECT NULL, c.id, c.target_id, NULL, c.declared_at, true
FROM approvals_outofbandchange c
WHERE c.declared_at >= %(begin)s AND c.declared_at < %(end)s
  AND (%(targets)s::bigint[] IS NULL OR c.target_id = ANY(%(targets)s))
  AND %(people)s::bigint[] IS NULL
"""

FAMILIES = {
    "deliveries": DELIVERIES,
    "decisions": DECISIONS,
    "requirements": REQUIREMENTS,
    "runs": RUNS,
    "changes": f"{_WENT_LIVE} UNION ALL {_OUT_OF_BAND}",
}
