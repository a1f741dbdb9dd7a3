"""What countersign.yaml says of the registry: names that would be fought over are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals import services
from approvals.configuration import load
from approvals.models import Effect, Target
from approvals.states import Via
from approvals.write_back import WriteBack, registry_words
from tests.approvals.test_configuration import EXAMPLE, changed, problems, write
from tests.world import World

PRODUCTION = "    alias: champion\n"
MODEL = "    workflow: deploy.yml\n"
# A second model, registered under another name than its own.
TWO = changed(
    MODEL,
    f"{MODEL}  churn: {{repository: acme/ml, workflow: deploy.yml, registry_name: churn-model}}\n",
)

NO_NAME = "environments.1.copy_to: the name of a registered model is expected, such as prod.fraud"
SHARED = "staging and production share the alias 'staging'; each needs its own"
# What stands at production, and how each problem begins.
MISTAKES = {
    "previous is the alias": (
        PRODUCTION + "    previous_alias: champion\n",
        [
            "environments.1.previous_alias: the live version and the one before cannot share the alias 'champion'"
        ],
    ),
    "previous is another environment's": (
        PRODUCTION + "    previous_alias: staging\n",
        [f"models.fraud: {SHARED}", f"models.churn: {SHARED}"],
    ),
    "no alias of MLflow": (
        PRODUCTION + "    previous_alias: v1\n",
        ["environments.1.previous_alias: 'v1' cannot be an alias in MLflow"],
    ),
    "previous without alias": (
        "    previous_alias: previous\n",
        ["environments.1.previous_alias: it needs an 'alias' for the live version in production"],
    ),
    "copy without alias": (
        "    copy_to: prod.{model}\n",
        ["environments.1.copy_to: it needs an 'alias' for the live version in production"],
    ),
    "copy to itself": (
        PRODUCTION + "    copy_to: '{model}'\n",
        [
            "environments.1.copy_to: 'fraud' is the registered model of fraud; copies go to one of their own",
            "environments.1.copy_to: 'churn-model' is the registered model of churn; copies go to one of",
        ],
    ),
    "copy to another model": (
        PRODUCTION + "    copy_to: churn-model\n",
        [
            "environments.1.copy_to: 'churn-model' is the registered model of churn; copies go to one"
        ],
    ),
    "two models, one copy": (
        PRODUCTION + "    copy_to: prod\n",
        [
            "environments.1.copy_to: fraud and churn would both be copied to 'prod'; each needs its own"
        ],
    ),
    "no name": (PRODUCTION + "    copy_to: prod/{model}\n", [NO_NAME]),
    "a misspelt placeholder": (PRODUCTION + "    copy_to: prod.{name}\n", [NO_NAME]),
    "no stage": (
        PRODUCTION + "    stage: Archived\n",
        ["environments.1.stage: 'Archived' is not allowed; expected 'Staging' or 'Production'"],
    ),
    "no yes or no": (PRODUCTION + "    registry_tags: some\n", ["environments.1.registry_tags: "]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_refused(tmp_path: Path, mistake: str) -> None:
    lines, expected = MISTAKES[mistake]
    found = problems(tmp_path, changed(PRODUCTION, lines, TWO))
    sentences = [each.split(": ", 1)[1] for each in found]
    assert len(sentences) == len(expected), found
    for sentence, start in zip(sentences, expected, strict=True):
        assert sentence.startswith(start)


def test_a_model_that_says_it_itself(tmp_path: Path) -> None:
    text = changed(MODEL, f"{MODEL}    environments:\n      production: {{copy_to: fraud}}\n", TWO)
    [problem] = problems(tmp_path, text)
    assert problem.startswith("19: models.fraud.environments.production.copy_to: 'fraud' is the")


def test_a_name_that_quotes_a_quote(tmp_path: Path) -> None:
    text = changed("registry_name: churn-model", 'registry_name: "churn\'s"', TWO)
    [problem] = problems(
        tmp_path, changed(PRODUCTION, PRODUCTION + "    copy_to: prod.{model}\n", text)
    )
    assert "is too long for a registered model's name, or has quotes" in problem


def of(folder: Path, text: str) -> dict[tuple[str, str], WriteBack]:
    file = load(write(folder, text)).configuration
    return {
        (name, environment.name): file.write_back_of(name, environment)
        for name, model in file.models.items()
        for environment in file.environments_of(model)
    }


def test_the_models_own_else_the_environments(tmp_path: Path) -> None:
    text = changed(
        PRODUCTION,
        f"{PRODUCTION}    previous_alias: previous\n    stage: Production\n    copy_to: prod.{{model}}\n",
        TWO,
    )
    text = changed(
        MODEL,
        f"{MODEL}    environments:\n      staging:\n      production:\n        previous_alias: before\n"
        "        registry_tags: false\n",
        text,
    )
    found = of(tmp_path, text)
    assert found["fraud", "staging"] == WriteBack(alias="staging")
    assert found["fraud", "production"] == WriteBack(
        "champion", "before", tags=False, stage="Production", copy_to="prod.fraud"
    )
    assert found["churn", "production"] == WriteBack(
        "champion", "previous", stage="Production", copy_to="prod.churn-model"
    )


def test_applied_and_told(world: World, tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    assert "previous_alias: previous" in text
    assert world.target().write_back == {"previous_alias": "previous"}
    assert world.target("staging").write_back == {}, "tags are written unless told otherwise"
    services.apply_configuration(loaded=load(write(tmp_path, text)), via=Via.COMMAND)
    other = text.replace("previous_alias: previous", "copy_to: prod.{model}")
    changes = services.apply_configuration(loaded=load(write(tmp_path, other)), via=Via.COMMAND)
    assert "fraud-detector in production: what is written to the registry changed" in changes
    assert world.target().write_back == {"copy_to": "prod.fraud-detector"}
    assert services.apply_configuration(loaded=load(tmp_path / "countersign.yaml"), via="x") == []


def test_what_a_row_keeps_reads_back() -> None:
    for each in (
        WriteBack("champion"),
        WriteBack("champion", "previous", tags=False),
        WriteBack("", stage="Staging"),
        WriteBack("champion", copy_to="prod.x"),
    ):
        assert WriteBack.of(each.alias, each.as_data()) == each
    assert WriteBack.of("champion", {}).tags and not WriteBack.of("", {}).is_wanted
    assert WriteBack.of("", {"stage": "Staging"}).is_wanted


def test_the_effect_says_what_was_live_before(world: World) -> None:
    first = world.make_live(world.version(2))
    second = world.make_live(world.version(3))
    former = [
        Effect.objects.get(kind="set_alias", promotion=each.promotion).payload["former"]
        for each in (first, second)
    ]
    assert former == [None, first.version_id]
    Target.objects.update(alias="", write_back={})
    world.make_live(world.version(4))
    assert Effect.objects.filter(kind="set_alias").count() == 2


def test_in_words() -> None:
    assert registry_words({"alias": "champion", "version": 1, "before": None}) == (
        "champion now points to v1"
    )
    assert registry_words(
        {"alias": "champion", "version": 2, "before": 1, "stage": {"name": "Production", "before": "Staging"}}
    ) == "champion now points to v2 (it was v1); its stage is Production (it was Staging)"  # fmt: skip
