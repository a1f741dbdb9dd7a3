"""People, machine accounts and teams."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models

from approvals.states import MailWish, Theme


class Person(AbstractUser):
    """Somebody who signs in. A machine account (``is_machine``) may ask but its vote never counts.

    People named by the configuration but never seen are created inactive: they are visible as
    missing approvers and cannot sign in until an administrator activates them.
    """

    is_machine = models.BooleanField(
        default=False, help_text="A program's account: it may ask, its reviews never count."
    )

    class Meta(AbstractUser.Meta):
        verbose_name = "person"
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    @property
    def initials(self) -> str:
        """Up to two letters for the avatar."""
        words = str(self).split()
        return "".join(
            word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)
        ).upper()


class Team(models.Model):
    """A named group of people; requirements are written as *team × count*."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    members = models.ManyToManyField(Person, through="Membership", related_name="teams")

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class Delegation(models.Model):
    """``person``'s approvals go to ``delegate`` from ``begins_at`` until ``until``, or until it is ended."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="delegations_given")
    delegate = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="delegations_held")
    reason = models.TextField(blank=True)
    begins_at = models.DateTimeField()
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-begins_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["person"],
                condition=models.Q(ended_at=None),
                name="one_open_delegation_per_person",
            ),
            models.CheckConstraint(
                condition=~models.Q(person=models.F("delegate")), name="delegated_to_somebody_else"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person} to {self.delegate}"


class Membership(models.Model):
    """One person in one team, as the configuration says."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="memberships")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "person"], name="membership_once"),
        ]

    def __str__(self) -> str:
        return f"{self.person} in {self.team}"


class Preferences(models.Model):
    """How somebody wants to be told what concerns them. Without a row the defaults hold."""

    person = models.OneToOneField(Person, on_delete=models.CASCADE, related_name="preferences")
    direct = models.BooleanField(
        default=False, help_text="A direct message for what waits, beside the channel's."
    )
    reminders = models.BooleanField(
        default=True, help_text="Named and told when something still waits."
    )
    mail = models.CharField(max_length=20, choices=MailWish.choices, default=MailWish.WITHOUT_CHAT)
    notify = models.BooleanField(
        default=False, help_text="The browser may notify of what newly waits, while a page is open."
    )
    theme = models.CharField(max_length=10, choices=Theme.choices, default=Theme.SYSTEM)
    zone = models.CharField(
        max_length=64, blank=True, help_text="Time zone of the pages; empty: the browser's own."
    )
    shortcuts = models.BooleanField(
        default=True,
        help_text="Single keys do something on the pages (WCAG 2.1.4 lets them be off).",
    )
    feed_key = models.CharField(
        max_length=64, blank=True, help_text="Part of the private addresses of the feeds."
    )

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"preferences of {self.person}"
