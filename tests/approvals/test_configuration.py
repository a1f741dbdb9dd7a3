"""countersign.yaml: every mistake has a line and a sentence; applying is idempotent and recorded."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from approvals import services
from approvals.configuration import ConfigurationError, load
from approvals.models import (
    Environment,
    Event,
    ModelVersion,
    Person,
    RegisteredModel,
    Repository,
    Target,
    Team,
)
from approvals.policies import Requirement
from approvals.rules import Policy
from approvals.states import Via
from tests.world import World

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "countersign.yaml"
SMALL = """\
environments:
  - name: staging
    alias: staging
    approvals: [{team: leads}]
  - name: production
    alias: champion
    approvals: [{team: leads}, {team: risk}]
teams:
  leads: {members: [bob, dora]}
  risk: {members: [carol]}
repositories:
  acme/ml:
    workflows: {deploy.yml: deploy, ci.yml: ci}
models:
  fraud:
    repository: acme/ml
    workflow: deploy.yml
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "countersign.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(folder: Path, text: str | bytes) -> list[str]:
    """What is wrong, without the file's path; every line names the file first."""
    path = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert str(caught.value) == "\n".join(caught.value.problems)
    for each in caught.value.problems:
        assert each.startswith(f"{path}:") and "\n" not in each
    return [each.removeprefix(f"{path}:") for each in caught.value.problems]


def changed(old: str, new: str, text: str = SMALL) -> str:
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    return text.replace(old, new)


def test_the_example_and_the_small_one_are_valid(tmp_path: Path) -> None:
    assert [each.name for each in load(EXAMPLE).configuration.environments] == [
        "staging",
        "production",
    ]
    assert re.fullmatch("[0-9a-f]{64}", load(write(tmp_path, SMALL)).digest)


LONG = "x" * 300
MISTAKES: dict[str, tuple[str, str, str]] = {
    "unknown key": (
        "    workflow: deploy.yml\n",
        "    workfow: deploy.yml\n",
        r"17: models.fraud.workfow: is not a known key here; check the spelling",
    ),
    "missing key": (
        "    repository: acme/ml\n",
        "",
        r"15: models.fraud.repository: is missing",
    ),
    "missing part": ("teams:\n  leads: {members: [bob, dora]}\n  risk: {members: [carol]}\n", "",
                     r"1: teams: is missing"),
    "wrong type": ("{members: [carol]}", "{members: carol}", r"10: teams.risk.members: input should be"),
    "wrong count": ("[{team: leads}]", "[{team: leads, count: 0}]",
                    r"4: environments.0.approvals.0.count: input should be greater than or equal to 1"),
    "no approver": ("[{team: leads}]", "[]", r"4: environments.0.approvals: list should have at least"),
    "both team and any_of": ("[{team: leads}]", "[{team: leads, any_of: [risk]}]",
                             r"4: environments.0.approvals.0: exactly one of 'team' and 'any_of'"),
    "bad duration": ("    alias: champion\n", "    alias: champion\n    expires_after: 3 days\n",
                     r"7: environments.1.expires_after: a duration such as 30m, 12h or 3d"),
    "no duration": ("    alias: champion\n", "    alias: champion\n    expires_after: 0d\n",
                    r"7: environments.1.expires_after: a duration longer than nothing"),
    "a bare number": ("    alias: champion\n", "    alias: champion\n    expires_after: 3\n",
                      r"7: environments.1.expires_after: a duration such as"),
    "unknown team": ("{team: risk}", "{team: rsik}",
                     r"7: environments.1.approvals.1: no team is called 'rsik'; there are leads, risk"),
    "unknown requesters": ("    alias: champion\n", "    alias: champion\n    requesters: [all]\n",
                           r"7: environments.1.requesters: no team is called 'all'"),
    "unknown environment": ("    workflow: deploy.yml\n",
                            "    workflow: deploy.yml\n    environments: {prod: null}\n",
                            r"18: models.fraud.environments.prod: no environment is called 'prod'; "
                            r"there are staging, production"),
    "unknown repository": ("repository: acme/ml\n", "repository: acme/other\n",
                           r"16: models.fraud.repository: 'acme/other' is not among 'repositories'"),
    "not a repository": ("repository: acme/ml\n", "repository: acme\n",
                         r"16: models.fraud.repository: 'acme' does not have the expected form"),
    "unknown workflow": ("    workflow: deploy.yml\n", "    workflow: other.yml\n",
                         r"17: models.fraud.workflow: 'other.yml' is not listed as a deploy workflow"),
    "not a deploy workflow": ("    workflow: deploy.yml\n", "    workflow: ci.yml\n",
                              r"17: models.fraud.workflow: 'ci.yml' is not listed as a deploy workflow"),
    "workflow of no kind": ("ci.yml: ci", "ci.yml: test",
                            r"13: repositories.acme/ml.workflows.ci.yml: 'test' is not allowed; "
                            r"expected 'ci', 'train', 'validate' or 'deploy'"),
    "too many asked": ("{team: risk}", "{team: risk, count: 2}",
                       r"7: environments.1.approvals.1: 2 of risk can never be reached"),
    "rollback quorum": ("    alias: champion\n",
                        "    alias: champion\n    rollback: {approvals: [{team: risk, count: 2}]}\n",
                        r"7: environments.1.rollback.approvals.0: 2 of risk can never be reached"),
    "one person in two teams": ("{members: [bob, dora]}", "{members: [carol]}",
                                r"7: environments.1.approvals.\d: 1 of (leads|risk) can never"),
    "duplicate key": ("  risk: {members: [carol]}\n",
                      "  risk: {members: [carol]}\n  risk: {members: [bob]}\n",
                      r"11: not valid YAML: the key 'risk' stands twice"),
    "duplicate environment": ("name: production", "name: staging",
                              r"5: environments.1.name: 'staging' is named twice"),
    "alias of MLflow": ("alias: champion", "alias: latest",
                        r"6: environments.1.alias: 'latest' cannot be an alias in MLflow"),
    "alias like a version": ("alias: champion", "alias: v1", r"6: environments.1.alias: 'v1' cannot"),
    "shared alias": ("alias: champion", "alias: staging",
                     r"15: models.fraud: staging and production share the alias 'staging'"),
    "one model twice": ("    workflow: deploy.yml\n",
                        "    workflow: deploy.yml\n"
                        "  other: {repository: acme/ml, workflow: deploy.yml, registry_name: fraud}\n",
                        r"18: models.other: it is the same registered model in MLflow as 'fraud'"),
    "an input of ours": ("    workflow: deploy.yml\n",
                         "    workflow: deploy.yml\n    inputs: {version: '1'}\n",
                         r"18: models.fraud.inputs: Countersign itself fills in version"),
    "an input that is no text": ("    workflow: deploy.yml\n",
                                 "    workflow: deploy.yml\n    inputs: {region: 1}\n",
                                 r"18: models.fraud.inputs.region: input should be a valid string"),
    "too many inputs": ("    workflow: deploy.yml\n",
                        "    workflow: deploy.yml\n    inputs: {"
                        + ", ".join(f"i{n}: x" for n in range(21)) + "}\n",
                        r"18: models.fraud.inputs: dictionary should have at most 18"),
    "too many inputs together": (
        "    workflow: deploy.yml\n",
        "    workflow: deploy.yml\n    inputs: {" + ", ".join(f"i{n}: x" for n in range(15)) + "}\n"
        "    environments: {staging: {inputs: {" + ", ".join(f"j{n}: x" for n in range(15)) + "}}}\n",
        r"15: models.fraud: GitHub allows 25 inputs",
    ),
    "too long": ("risk: {members", f"risk: {{name: {LONG}, members",
                 r"10: teams.risk.name: string should have at most 200 characters"),
    "a name for no address": ("  fraud:\n", "  fraud/v2:\n", r"15: models.fraud/v2"),
    "control characters": ("risk: {members", 'risk: {name: "a\\0b", members',
                           r"10: teams.risk.name: .* does not have the expected form"),
    "a key that is no text": ("teams:\n", "? [a, b]\n: 1\nteams:\n", r"8: not valid YAML: a key must"),
    "not YAML": ("teams:\n", "teams: [\n", r"\d+: not valid YAML: "),
    "a tab": ("teams:\n", "teams:\n\tx: 1\n", r"9: not valid YAML: "),
    "a Python object": ("teams:\n", "x: !!python/object/apply:os.system [ls]\nteams:\n",
                        r"8: not valid YAML: could not determine a constructor"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_has_a_line_and_a_sentence(tmp_path: Path, mistake: str) -> None:
    old, new, expected = MISTAKES[mistake]
    found = problems(tmp_path, changed(old, new))
    assert any(re.match(expected, each) for each in found), found


def test_machine_accounts_fill_no_quorum(tmp_path: Path) -> None:
    text = SMALL + "people: {carol: {machine: true}}\n"
    [problem] = problems(tmp_path, text)
    assert problem.startswith("7: environments.1.approvals.1: 1 of risk can never be reached")


def test_an_environment_without_approvals(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, changed("    approvals: [{team: leads}]\n", ""))
    assert problem.endswith("nobody has to approve staging; give it 'approvals'")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "1: a mapping with environments, teams and models is expected"),
        (b"# only a comment\n", "1: a mapping with environments, teams and models is expected"),
        (b"- a\n- b\n", "1: a mapping with environments, teams and models is expected"),
        (b"\xff\xfe\x00", " not UTF-8 text"),
        (b"a: \x00", "1: not valid YAML: unacceptable character"),
        (b"x" * 1_000_001, " larger than a megabyte; is it the right file?"),
        (b"[" * 5_000, "1: nested too deeply"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, sentence: str) -> None:
    [problem] = problems(tmp_path, content)
    assert problem.startswith(sentence)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.yaml"):
        with pytest.raises(ConfigurationError, match=r"cannot be read .*; set COUNTERSIGN_CONFIG"):
            load(path)


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = changed("alias: champion", "alias: latest", changed("name: staging", "name: Staging!"))
    assert len(problems(tmp_path, text)) == 2


# -- applying -------------------------------------------------------------------------------------


def apply(folder: Path, text: str) -> list[str]:
    return services.apply_configuration(loaded=load(write(folder, text)), via=Via.COMMAND)


def rows() -> dict[str, Any]:
    """Everything that applying writes."""
    tables = (Environment, Person, RegisteredModel, Repository, Target, Team)
    return {each.__name__: list(each._default_manager.order_by("pk").values()) for each in tables}


@pytest.mark.django_db
def test_applying_twice_changes_nothing(tmp_path: Path) -> None:
    assert apply(tmp_path, SMALL)
    assert not Person.objects.filter(is_active=True).exists(), "named, not let in"
    assert not any(person.has_usable_password() for person in Person.objects.all())
    [event] = Event.objects.filter(kind="configuration.applied")
    assert "created bob, not active yet" in event.data["changes"]
    before = rows()
    assert apply(tmp_path, SMALL) == []
    assert rows() == before and Event.objects.count() == 1
    # Another file that says the same is recorded, because its digest is another one.
    assert apply(tmp_path, f"# a comment\n{SMALL}") == []
    assert rows() == before and Event.objects.count() == 2


@pytest.mark.django_db
def test_what_is_no_longer_named_is_kept_inactive(tmp_path: Path) -> None:
    apply(tmp_path, SMALL)
    ids = set(Target.objects.values_list("pk", flat=True))
    data = yaml.safe_load(SMALL)
    del data["environments"][0]
    data["models"] = {"churn": data["models"]["fraud"]}
    data["repositories"]["acme/other"] = data["repositories"].pop("acme/ml")
    data["models"]["churn"]["repository"] = "acme/other"
    data["teams"]["leads"]["members"] = ["bob", "erin"]
    changes = apply(tmp_path, yaml.safe_dump(data))
    assert "environment staging is no longer named" in changes
    assert "model fraud is no longer named" in changes
    assert "repository acme/ml is no longer named" in changes
    assert "dora left leads" in changes and "erin joined leads" in changes
    assert set(Target.objects.filter(is_active=False).values_list("pk", flat=True)) == ids
    assert [str(each) for each in Target.objects.filter(is_active=True)] == ["churn in production"]
    assert Person.objects.filter(username="dora").exists()

    apply(tmp_path, SMALL)
    assert set(Target.objects.filter(is_active=True).values_list("pk", flat=True)) == ids


def test_an_inactive_target_takes_no_requests(world: World, tmp_path: Path) -> None:
    data = yaml.safe_load(EXAMPLE.read_text())
    version: ModelVersion = world.version()
    target = world.target()
    del data["models"]["fraud-detector"], data["rules"]
    apply(tmp_path, yaml.safe_dump(data))
    with pytest.raises(services.Refused) as caught:
        services.request_promotion(
            actor=world.person("alice"),
            via=Via.BROWSER,
            target_id=target.pk,
            version_id=version.pk,
            reason="x",
        )
    assert caught.value.code == "inactive_target"


@pytest.mark.django_db
def test_a_models_own_rules_win(tmp_path: Path) -> None:
    data = yaml.safe_load(SMALL)
    data["environments"][1]["expires_after"] = "3d"
    data["slack"] = {"channel": "C0ALL"}
    data["models"]["fraud"]["inputs"] = {"region": "eu", "size": "s"}
    data["models"]["fraud"]["environments"] = {
        "staging": None,
        "production": {
            "alias": "prod",
            "ref": "release",
            "channel": "C0FRAUD",
            "inputs": {"size": "l"},
            "approvals": [{"any_of": ["leads", "risk"], "count": 2}],
            "grant_lapses_after": "2h",
        },
    }
    apply(tmp_path, yaml.safe_dump(data))
    staging, production = Target.objects.order_by("environment__position")
    assert (staging.alias, staging.ref, staging.channel) == ("staging", "main", "C0ALL")
    assert (production.alias, production.ref) == ("prod", "release")
    assert production.channel == "C0FRAUD"
    assert production.inputs == {"region": "eu", "size": "l"}
    policy = Policy.from_data(production.policy)
    assert policy.promote == (Requirement(("leads", "risk"), 2),)
    assert policy.rollback == (Requirement(("leads", "risk"), 1),), "one of any approving team"
    assert (policy.expires_after, policy.grant_lapses_after) == (3 * 86_400, 7200)
    assert Policy.from_data(staging.policy).promote == (Requirement(("leads",), 1),)


def test_a_policy_already_asked_under_stays(world: World, tmp_path: Path) -> None:
    promotion = world.request()
    data = yaml.safe_load(EXAMPLE.read_text())
    data["environments"][1]["approvals"] = [{"team": "platform"}]
    apply(tmp_path, yaml.safe_dump(data))
    promotion.refresh_from_db()
    assert Policy.from_data(promotion.policy).promote[0] == Requirement(("ml-leads",), 1)
    assert Policy.from_data(world.target().policy).promote == (Requirement(("platform",), 1),)


@pytest.mark.django_db
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("apply_configuration", "--file", write(tmp_path, SMALL), "--check")
    assert capsys.readouterr().out == "The configuration is valid.\n"
    assert not Environment.objects.exists()
    call_command("apply_configuration", "--file", write(tmp_path, SMALL))
    assert "The configuration is in force (" in capsys.readouterr().out
    before, events = rows(), Event.objects.count()
    bad = write(tmp_path, changed("{team: risk}", "{team: rsik}"))
    with pytest.raises(
        CommandError, match=r"countersign\.yaml:7: environments\.1\.approvals\.1: no"
    ):
        call_command("apply_configuration", "--file", bad)
    assert rows() == before and Event.objects.count() == events


def test_the_commands_exit_code(tmp_path: Path, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "apply_configuration", "--file", str(tmp_path / "none")],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "the configuration cannot be used" in done.stderr


def test_a_metric_that_no_version_logs_is_refused(world: World, tmp_path: Path) -> None:
    """Such a gate could never pass. Nothing of the file is applied."""
    services.apply_configuration(loaded=load(EXAMPLE), via=Via.COMMAND)  # no versions yet: fine
    world.version(1, metrics={"accuracy": "0.9", "auc": "0.8", "recall": "0.7"})
    services.apply_configuration(loaded=load(EXAMPLE), via=Via.COMMAND)
    before = Target.objects.get(pk=world.target().pk).policy
    data = yaml.safe_load(EXAMPLE.read_text())
    production = data["models"]["fraud-detector"]["environments"]["production"]
    production["gates"].append({"metric": "acuracy", "at_least": 0.8})
    production["approvals"] = [{"team": "risk"}]
    path = tmp_path / "file.yaml"
    path.write_text(yaml.safe_dump(data))
    for arguments in (["--check"], []):
        with pytest.raises(CommandError) as caught:
            call_command("apply_configuration", "--file", str(path), *arguments)
        assert "no version of fraud-detector has ever logged the metric 'acuracy'" in str(
            caught.value
        )
        assert "models.fraud-detector.environments.production" in str(caught.value)
    assert Target.objects.get(pk=world.target().pk).policy == before


WITH_HEALTH = (
    SMALL
    + """\
    environments:
      staging:
      production: {health_url: "HEALTH"}
"""
)


def test_where_a_serving_layer_answers(db: None, tmp_path: Path) -> None:
    address = "http://fraud.internal:8080/health"
    for told, kept in ((WITH_HEALTH.replace("HEALTH", address), address), (SMALL, "")):
        loaded = load(write(tmp_path, told))
        services.apply_configuration(loaded=loaded, via=Via.COMMAND)
        assert Target.objects.get(environment__name="production").health_url == kept
        assert Target.objects.get(environment__name="staging").health_url == ""


@pytest.mark.parametrize(
    "address",
    [
        "ftp://fraud.internal/",
        "file:///etc/passwd",
        "fraud.internal:8080",
        "http://",
        "http://bob:secret@fraud.internal/",
        "http://fraud.internal:port/",
        "http://fraud internal/",
        "http://[::1",
        f"http://{'x' * 500}.internal/",
    ],
)
def test_no_other_address_will_do(tmp_path: Path, address: str) -> None:
    [problem] = problems(tmp_path, WITH_HEALTH.replace("HEALTH", address))
    assert "models.fraud.environments.production.health_url" in problem
