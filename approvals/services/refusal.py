"""What a verb says when it will not."""

from __future__ import annotations


class Refused(Exception):
    """The verb changed nothing. ``code`` is for programs and tests, ``sentence`` for the person."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
