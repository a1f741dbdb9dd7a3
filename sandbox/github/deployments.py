"""What the Deployments API keeps: records of deployments and how they went."""

from sandbox.github.records import Deployment, DeploymentStatus, Run, Store, now
from sandbox.github.settings import Settings


class Deployments:
    """The deployments of one repository."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Keep them in ``store``."""
        self.settings, self.store = settings, store

    def add_status(self, deployment: Deployment, status: DeploymentStatus, auto: bool) -> None:
        """Add a status; a success makes older ones of that environment inactive (if ``auto``).

        GitHub leaves production and transient environments out of that.
        """
        with self.store.lock:
            others = [
                other
                for other in self.store.all(Deployment)
                if other.id < deployment.id and other.environment == deployment.environment
            ]
            self.store.save(status)
            deployment.updated_at = now()
            self.store.save(deployment)
            if not (auto and status.state == "success"):
                return
            for other in others:
                state = self.last_state(other)
                if not other.production and not other.transient and state == "success":
                    self.store.save(
                        DeploymentStatus(
                            self.store.next_id(),
                            other.id,
                            "inactive",
                            status.creator,
                            other.environment,
                        )
                    )

    def last_state(self, deployment: Deployment) -> str:
        """The state of its newest status; empty when it has none."""
        states = [
            s.state for s in self.store.all(DeploymentStatus) if s.deployment_id == deployment.id
        ]
        return states[-1] if states else ""

    def of_run(self, run: Run, environment: str) -> Deployment:
        """A job with ``environment:`` keeps its own Deployment record, one for each attempt."""
        task = f"run {run.id} attempt {run.attempt}"
        with self.store.lock:
            known = [d for d in self.store.all(Deployment) if d.payload == {"run": task}]
            found = next((d for d in known if d.environment == environment), None)
            return found or self.store.save(
                Deployment(
                    self.store.next_id(),
                    run.head_branch or run.head_sha,
                    run.head_sha,
                    environment,
                    run.triggering_actor,
                    payload={"run": task},
                    production=environment == "production",
                )
            )

    def run_is(self, run: Run, environment: str, state: str) -> None:
        """Add a status to the record of a run's attempt."""
        with self.store.lock:
            deployment = self.of_run(run, environment)
            url = f"{self.settings.public_url}/{self.settings.repository}/actions/runs/{run.id}"
            status = DeploymentStatus(
                self.store.next_id(),
                deployment.id,
                state,
                run.triggering_actor,
                environment,
                target_url=url,
            )
            self.add_status(deployment, status, auto=True)
