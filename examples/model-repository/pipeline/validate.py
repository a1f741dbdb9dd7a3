"""Check a registered version before anyone is asked to approve it; exit 1 when it is not fit.

Put your own checks here. These: the version is ready, its run finished, it has metrics, and it
predicts on its own input example.
"""

import os
import sys

import mlflow
from mlflow.models import Model


def main() -> None:
    """Validate MODEL's VERSION."""
    name, version = os.environ["MODEL"], os.environ["VERSION"]
    client = mlflow.MlflowClient()
    try:
        found = client.get_model_version(name, version)
    except mlflow.exceptions.MlflowException as error:
        sys.exit(f"{name} version {version} cannot be read: {error}")
    if found.status != "READY":
        sys.exit(f"{name} version {version} is {found.status}, not READY.")
    if found.run_id:
        run = client.get_run(found.run_id)
        if run.info.status != "FINISHED":
            sys.exit(f"Its run {found.run_id} is {run.info.status}, not FINISHED.")
        if not run.data.metrics:
            sys.exit(f"Its run {found.run_id} has no metrics.")
        print(f"Metrics: {run.data.metrics}", flush=True)
    folder = mlflow.artifacts.download_artifacts(f"models:/{name}/{version}")
    example = Model.load(folder).load_input_example(folder)
    if example is None:
        sys.exit(f"{name} version {version} has no input example to predict on.")
    rows = len(mlflow.pyfunc.load_model(folder).predict(example))
    print(f"{name} version {version}: {rows} predictions on its input example", flush=True)
    # Countersign reads the tag as evidence (countersign.yaml: models.….evidence).
    client.set_model_version_tag(name, version, "validation", "passed")


if __name__ == "__main__":
    main()
