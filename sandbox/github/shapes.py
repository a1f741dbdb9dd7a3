"""The JSON that GitHub answers with, built from records; checked against its own description."""

from dataclasses import dataclass

from sandbox.github.records import (
    Deployment,
    DeploymentStatus,
    Environment,
    Job,
    Run,
    Workflow,
)
from sandbox.github.settings import INSTALLATION_ID
from sandbox.github.shapes_repository import Json, RepositoryShapes, node_id, number_of
from sandbox.github.workflows import WorkflowFile

_RUN_PATHS = {
    "artifacts_url": "/artifacts",
    "cancel_url": "/cancel",
    "jobs_url": "/jobs",
    "logs_url": "/logs",
    "rerun_url": "/rerun",
    "url": "",
}


@dataclass(frozen=True)
class Shapes(RepositoryShapes):
    """Every answer: the repository's, and those of Actions, environments and deployments."""

    # -- Actions -----------------------------------------------------------------------------

    def workflow(self, workflow: Workflow, file: WorkflowFile) -> Json:
        """A workflow."""
        name = workflow.path.rsplit("/", 1)[-1]
        return {
            "id": workflow.id,
            "node_id": node_id("Workflow", workflow.id),
            "name": file.name,
            "path": workflow.path,
            "state": "active",
            "created_at": workflow.created_at,
            "updated_at": workflow.created_at,
            "url": f"{self.repo_api}/actions/workflows/{workflow.id}",
            "html_url": f"{self.repo_html}/blob/{self.repository.default_branch}/{workflow.path}",
            "badge_url": f"{self.repo_html}/actions/workflows/{name}/badge.svg",
        }

    def run(self, run: Run) -> Json:
        """A workflow run. It has no inputs: GitHub's neither."""
        url = f"{self.repo_api}/actions/runs/{run.id}"
        commit = self.repository.describe(run.head_sha)
        suite = number_of(str(run.id))
        previous = f"{url}/attempts/{run.attempt - 1}" if run.attempt > 1 else None
        return {
            "id": run.id,
            "name": run.name,
            "node_id": node_id("WorkflowRun", run.id),
            "head_branch": run.head_branch,
            "head_sha": run.head_sha,
            "path": run.path,
            "display_title": run.title,
            "run_number": run.number,
            "event": run.event,
            "status": run.status,
            "conclusion": run.conclusion,
            "workflow_id": run.workflow_id,
            "check_suite_id": suite,
            "check_suite_node_id": node_id("CheckSuite", suite),
            "check_suite_url": f"{self.repo_api}/check-suites/{suite}",
            "html_url": f"{self.repo_html}/actions/runs/{run.id}",
            "workflow_url": f"{self.repo_api}/actions/workflows/{run.workflow_id}",
            "previous_attempt_url": previous,
            "pull_requests": [],
            "created_at": run.created_at,
            "updated_at": run.updated_at,
            "run_started_at": run.started_at,
            "run_attempt": run.attempt,
            "referenced_workflows": [],
            "actor": self.user(run.actor),
            "triggering_actor": self.user(run.triggering_actor),
            "head_commit": {
                "id": commit.sha,
                "tree_id": commit.tree,
                "message": commit.message.strip(),
                "timestamp": commit.committed_at,
                "author": {"name": commit.author, "email": commit.author_email},
                "committer": {"name": commit.committer, "email": commit.committer_email},
            },
            "repository": self.minimal_repository(),
            "head_repository": self.minimal_repository(),
            **{name: url + path for name, path in _RUN_PATHS.items()},
        }

    def job(self, job: Job, run: Run) -> Json:
        """A job with its steps."""
        return {
            "id": job.id,
            "run_id": run.id,
            "run_url": f"{self.repo_api}/actions/runs/{run.id}",
            "run_attempt": job.attempt,
            "node_id": node_id("CheckRun", job.id),
            "head_sha": run.head_sha,
            "head_branch": run.head_branch,
            "workflow_name": run.name,
            "name": job.name,
            "status": job.status,
            "conclusion": job.conclusion,
            "created_at": job.created_at,
            "started_at": job.started_at or job.created_at,
            "completed_at": job.completed_at,
            "url": f"{self.repo_api}/actions/jobs/{job.id}",
            "html_url": f"{self.repo_html}/actions/runs/{run.id}/job/{job.id}",
            "check_run_url": f"{self.repo_api}/check-runs/{job.id}",
            "labels": job.labels,
            "runner_id": 1,
            "runner_name": "Sandbox",
            "runner_group_id": 1,
            "runner_group_name": "Sandbox",
            "steps": [
                {
                    "name": step.name,
                    "status": step.status,
                    "conclusion": step.conclusion,
                    "number": step.number,
                    "started_at": step.started_at,
                    "completed_at": step.completed_at,
                }
                for step in job.steps
            ],
        }

    def run_webhook(self, run: Run, action: str, workflow: Json) -> Json:
        """The payload of a ``workflow_run`` webhook."""
        return {
            "action": action,
            "workflow_run": self.run(run),
            "workflow": workflow,
            **self._webhook(run),
        }

    def _webhook(self, run: Run) -> Json:
        """What every webhook about a run carries."""
        return {
            "repository": self.full_repository(),
            "sender": self.user(run.triggering_actor),
            "installation": {
                "id": INSTALLATION_ID,
                "node_id": node_id("Installation", INSTALLATION_ID),
            },
        }

    def protection_rule_webhook(self, run: Run, environment: str, deployment: Deployment) -> Json:
        """The payload of a ``deployment_protection_rule`` webhook: the App is asked for an answer."""
        callback = f"{self.repo_api}/actions/runs/{run.id}/deployment_protection_rule"
        return {
            "action": "requested",
            "environment": environment,
            "event": run.event,
            "deployment_callback_url": callback,
            "deployment": self.deployment(deployment),
            "pull_requests": [],
            **self._webhook(run),
        }

    # -- environments and deployments ----------------------------------------------------------

    def environment(self, environment: Environment) -> Json:
        """A deployment environment. GitHub lists an App's custom rule elsewhere."""
        reviewers = [
            {"type": "User", "reviewer": self.user(login)} for login in environment.reviewers
        ]
        required = {
            "id": environment.id,
            "node_id": node_id("GateRule", environment.id),
            "type": "required_reviewers",
            "prevent_self_review": False,
            "reviewers": reviewers,
        }
        return {
            "id": environment.id,
            "node_id": node_id("Environment", environment.id),
            "name": environment.name,
            "url": f"{self.repo_api}/environments/{environment.name}",
            "html_url": f"{self.repo_html}/deployments/{environment.name}",
            "created_at": environment.created_at,
            "updated_at": environment.created_at,
            "protection_rules": [required] if reviewers else [],
            "deployment_branch_policy": None,
        }

    def pending_deployment(self, environment: Environment) -> Json:
        """An environment that a run waits for. An App's token cannot approve as a reviewer."""
        known = self.environment(environment)
        return {
            "environment": {n: known[n] for n in ("id", "node_id", "name", "url", "html_url")},
            "wait_timer": 0,
            "wait_timer_started_at": None,
            "current_user_can_approve": False,
            "reviewers": [
                {"type": "User", "reviewer": self.user(login)} for login in environment.reviewers
            ],
        }

    def deployment(self, deployment: Deployment) -> Json:
        """A deployment."""
        url = f"{self.repo_api}/deployments/{deployment.id}"
        return {
            "id": deployment.id,
            "node_id": node_id("Deployment", deployment.id),
            "url": url,
            "statuses_url": f"{url}/statuses",
            "repository_url": self.repo_api,
            "sha": deployment.sha,
            "ref": deployment.ref,
            "task": deployment.task,
            "payload": deployment.payload,
            "original_environment": deployment.environment,
            "environment": deployment.environment,
            "description": deployment.description,
            "creator": self.user(deployment.creator),
            "created_at": deployment.created_at,
            "updated_at": deployment.updated_at,
            "transient_environment": deployment.transient,
            "production_environment": deployment.production,
        }

    def deployment_status(self, status: DeploymentStatus) -> Json:
        """One status of a deployment."""
        deployment = f"{self.repo_api}/deployments/{status.deployment_id}"
        return {
            "id": status.id,
            "node_id": node_id("DeploymentStatus", status.id),
            "url": f"{deployment}/statuses/{status.id}",
            "deployment_url": deployment,
            "repository_url": self.repo_api,
            "state": status.state,
            "creator": self.user(status.creator),
            "description": status.description,
            "environment": status.environment,
            "target_url": status.target_url,
            "log_url": status.target_url,
            "environment_url": status.environment_url,
            "created_at": status.created_at,
            "updated_at": status.created_at,
        }
