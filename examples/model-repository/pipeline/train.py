"""Train a small classifier on scikit-learn's breast-cancer data and register it as MODEL.

Put your own training here; what Countersign reads is the registered version, its run's metrics
and the tags that say which commit and workflow run made it.
"""

import os

import mlflow
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main() -> None:
    """Train, measure on held-out data, register."""
    model_name = os.environ["MODEL"]
    data = load_breast_cancer(as_frame=True)
    train_x, test_x, train_y, test_y = train_test_split(
        data.data, data.target, test_size=0.3, random_state=7, stratify=data.target
    )
    mlflow.set_experiment(model_name)
    with mlflow.start_run() as run:
        mlflow.set_tags(
            {
                "mlflow.source.git.commit": os.environ.get("GITHUB_SHA", ""),
                "github.run_id": os.environ.get("GITHUB_RUN_ID", ""),
            }
        )
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        model.fit(train_x, train_y)
        score = model.predict_proba(test_x)[:, 1]
        metrics = {
            "accuracy": float(accuracy_score(test_y, score > 0.5)),
            "auc": float(roc_auc_score(test_y, score)),
        }
        mlflow.log_metrics(metrics)
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            input_example=test_x.head(5),
            registered_model_name=model_name,
        )
    print(f"Run {run.info.run_id}: {metrics}", flush=True)
    print(f"Registered {model_name} version {logged.registered_model_version}", flush=True)


if __name__ == "__main__":
    main()
