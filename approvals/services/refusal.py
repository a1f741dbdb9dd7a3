"""What a verb says when it will not."""

from __future__ import annotations

from approvals.wording import clean_text, straight

MAX_REASON = 2000


class Refused(Exception):
    """The verb changed nothing. ``code`` is for programs and tests, ``sentence`` for the person."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def clean_reason(text: str) -> str:
    """What a person wrote as a reason, made clean; nothing of a record is cut off silently.

    Raises Refused("reason_too_long") past 2,000 characters.
    """
    reason = clean_text(straight(text))
    if len(reason) > MAX_REASON:
        raise Refused(
            "reason_too_long",
            f"That is {len(reason):,} characters; say it in at most {MAX_REASON:,}.",
        )
    return reason
