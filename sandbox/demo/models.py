"""Which models the demo trains, and the story that each version tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sandbox.demo.data import APPLICANTS, CUSTOMERS, PAYMENTS, SALES, Dataset


@dataclass(frozen=True)
class Version:
    """One version, in the order of registration.

    `latest_rows` trains on the newest rows only. An unfinished version's run stays RUNNING. A
    version whose artifact is lost is registered, but its files are gone from the artifact store.
    A validated one gets a run of the validation workflow (seconds each, so not every one does).
    """

    author: str
    description: str
    estimator: Callable[[], Any]
    features: list[str]
    latest_rows: int | None = None
    finished: bool = True
    artifact_lost: bool = False
    validated: bool = False


@dataclass(frozen=True)
class Model:
    name: str
    description: str
    dataset: Dataset
    versions: list[Version]


def _logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression())


MODELS = [
    Model(
        "fraud-detector",
        "Says whether a card payment is fraud, before it is authorised.",
        PAYMENTS,
        [
            Version(
                "bob",
                "Logistic regression on what the terminal knows.",
                _logistic,
                ["amount", "hour", "merchant_risk", "card_age_days"],
            ),
            Version(
                "alice",
                "A forest that also sees distance and the payments of the last hour.",
                lambda: RandomForestClassifier(n_estimators=40, min_samples_leaf=6, random_state=7),
                [
                    *("amount", "hour", "merchant_risk", "card_age_days"),
                    *("distance_km", "payments_last_hour"),
                ],
                validated=True,
            ),
            Version(
                "alice",
                "One quick tree from the latest 400 payments only, to follow a new pattern.",
                lambda: DecisionTreeClassifier(random_state=7),
                ["amount", "hour", "merchant_risk"],
                latest_rows=400,
            ),
        ],
    ),
    Model(
        "churn-predictor",
        "Says which subscribers are likely to leave within ninety days.",
        CUSTOMERS,
        [
            Version(
                "alice",
                "Logistic regression on contract and usage.",
                _logistic,
                ["tenure_months", "monthly_fee", "days_since_login"],
            ),
            Version(
                "bob",
                "Gradient boosting that also sees support calls and price increases.",
                lambda: HistGradientBoostingClassifier(
                    max_iter=60, learning_rate=0.08, max_leaf_nodes=8, random_state=7
                ),
                [
                    *("tenure_months", "monthly_fee", "days_since_login"),
                    *("support_calls", "price_increases"),
                ],
            ),
        ],
    ),
    Model(
        "demand-forecast",
        "Units that a store will sell tomorrow.",
        SALES,
        [
            Version(
                "dave",
                "Linear regression on calendar and price.",
                LinearRegression,
                ["day_of_week", "day_of_year", "price", "promotion"],
            ),
            Version(
                "alice",
                "Gradient boosting with the weather; still training.",
                lambda: HistGradientBoostingRegressor(max_iter=80, random_state=7),
                ["day_of_week", "day_of_year", "price", "promotion", "temperature"],
                finished=False,
            ),
            Version(
                "alice",
                "Gradient boosting on what is known the day before.",
                lambda: HistGradientBoostingRegressor(max_iter=80, random_state=7),
                ["day_of_week", "day_of_year", "price", "promotion"],
            ),
        ],
    ),
    Model(
        "credit-limit",
        "The card limit, in euro, that an analyst would give an applicant.",
        APPLICANTS,
        [
            Version(
                "bob",
                "Linear regression on income, debt and employment.",
                LinearRegression,
                ["income", "debt", "years_employed", "late_payments"],
            ),
            Version(
                "ci",
                "Gradient boosting; a clean-up of the artifact store took its files.",
                lambda: HistGradientBoostingRegressor(max_iter=60, random_state=7),
                ["income", "debt", "years_employed", "late_payments"],
                artifact_lost=True,
                validated=True,
            ),
        ],
    ),
]
