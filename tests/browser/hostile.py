"""What people, MLflow and GitHub could write to break a page, put wherever their words are shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from approvals import services
from approvals.models import ModelVersion, RegisteredModel, WorkflowRun
from approvals.services.registry import ModelFacts
from approvals.states import Verdict, Via
from tests.web.scene import Scene

# Whatever runs says so here; a test looks that nothing did.
MARK = "window.pwned=1"
CORPUS = (
    f"<script>{MARK}</script>",
    f'"><img src=x onerror="{MARK}">',
    f"'><svg/onload={MARK}>",
    f"</title></textarea></script><script>{MARK}</script>",
    f"[press](javascript:{MARK}) <javascript:{MARK}> ![](x)",
    f'<a href="javascript:{MARK}" onfocus={MARK} autofocus tabindex=1>x</a>',
    "{{ 7|add:35 }} {% load x %} ${7*6} {{constructor.constructor('x')()}}",
    "<!-- --><style>*{display:none}</style><base href=//evil.example/><meta http-equiv=refresh content=0>",
    "\u202egnp.exe\u2066 \u200b\ufeff e\u0301\u0301\u0301\u0301",
    '=HYPERLINK("http://evil.example")',
    "W" * 240,
    "日本語の長い説明文がここに入りますので改行されるはずです " * 4,
    "مرحبا بالعالم هذا نص طويل من اليمين إلى اليسار",
    "&lt;b&gt; &amp; &#x3c;script&#x3e;",
)
EVERYTHING = " ".join(CORPUS)


class Hostile(Scene):
    """The scene, in which nobody writes anything kind."""

    def build(self) -> None:
        """Everything of the scene, and hostile words in every place that takes some."""
        super().build()
        fraud = "fraud-detector"
        text = dict.fromkeys(("train", "note", CORPUS[0][:60], CORPUS[1][:60]), EVERYTHING[:900])
        version = self.version(
            9,
            fraud,
            metrics={"accuracy": "0.95", CORPUS[1]: "0.5", "W" * 120: "1"},
            registered_at=timezone.now() - timedelta(hours=3),
            parameters={CORPUS[0]: CORPUS[1], "long": "W" * 240, **text},
            datasets=[{"name": CORPUS[3], "digest": CORPUS[2], "context": CORPUS[5]}],
            git_branch=CORPUS[1][:200],
            run_name=CORPUS[0],
            trained_by=CORPUS[2],
        )
        ModelVersion.objects.filter(pk=version.pk).update(
            description=EVERYTHING, tags=text, aliases=[CORPUS[0]], source=f"javascript:{MARK}"
        )
        services.record_models(
            models=[ModelFacts(name, EVERYTHING, text, {}) for name in self._names()]
        )
        asked = self.ask(version, "staging", 0.05, EVERYTHING[:1900])
        self.review(asked, "bob", Verdict.REJECT, comment=EVERYTHING[:1900])
        self.ask(version, "staging", 0.02, EVERYTHING[:1900])
        target = self.target("production", "credit-limit")
        services.lock(
            actor=self.person("dave"), via=Via.BROWSER, target_id=target.pk, reason=EVERYTHING[:900]
        )
        services.quarantine(
            actor=self.person("dave"),
            via=Via.BROWSER,
            version_id=self.version(8, fraud).pk,
            reason=EVERYTHING[:900],
        )
        for index, words in enumerate(CORPUS):
            moment = timezone.now() - timedelta(hours=index)
            values: dict[str, Any] = {
                "created_at": moment,
                "started_at": moment,
                "updated_at": moment,
            }
            WorkflowRun.objects.create(
                repository="acme/ml-models", run_id=90_000 + index, workflow="train.yml", kind="train",
                title=f"{words[:400]} {fraud} v9", status="completed", conclusion="failure", actor=words[:200],
                head_sha=version.git_commit, head_branch=words[:200], url=f"javascript:{MARK}",
                steps=[{"name": words, "status": "completed", "conclusion": "failure"}], **values,
            )  # fmt: skip

    def _names(self) -> list[str]:
        return list(RegisteredModel.objects.values_list("registry_name", flat=True))
