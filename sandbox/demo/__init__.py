"""The demo's world: models trained for real and logged to the running MLflow server."""
