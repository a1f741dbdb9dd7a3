"""Made-up data sets with real structure: what is predicted follows from what is known, plus chance.

Every data set is drawn from a fixed seed, so each training of the demo sees the same rows and
MLflow computes the same digest. Rows are time-ordered: the last quarter is the evaluation set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

EVALUATION_SHARE = 0.25


@dataclass(frozen=True)
class Dataset:
    """`source` is where the rows would come from in a real company; `target` is the column asked
    for, boolean for a yes-or-no question and a number otherwise."""

    name: str
    source: str
    target: str
    rows: Callable[[], pd.DataFrame]

    def split(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows for training and the later ones for evaluation."""
        rows = self.rows()
        cut = int(len(rows) * (1 - EVALUATION_SHARE))
        return rows.iloc[:cut], rows.iloc[cut:]


def _chance(score: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """True with the probability that the logistic function gives for `score`."""
    answer: np.ndarray = rng.random(len(score)) < 1 / (1 + np.exp(-score))
    return answer


def card_payments() -> pd.DataFrame:
    """Payments; about two in eleven are fraud. Amounts in euro, distances in kilometres."""
    rng = np.random.default_rng(20261001)
    n = 6000
    rows = pd.DataFrame(
        {
            "amount": rng.lognormal(3.6, 1.0, n).round(2),
            "hour": rng.integers(0, 24, n).astype(float),
            "merchant_risk": rng.beta(2, 6, n).round(4),
            "card_age_days": rng.gamma(2.0, 400, n).round(),
            "distance_km": rng.exponential(30, n).round(1),
            "payments_last_hour": rng.poisson(0.7, n).astype(float),
        }
    )
    night = (rows.hour < 6).astype(float)
    far_and_fast = ((rows.distance_km > 45) & (rows.payments_last_hour >= 1)).astype(float)
    new_card_large = ((rows.card_age_days < 300) & (rows.amount > 60)).astype(float)
    score = (
        -7.6
        + 0.5 * np.log1p(rows.amount)
        + 9.0 * rows.merchant_risk
        + 2.2 * night
        + 3.4 * far_and_fast
        + 2.6 * new_card_large
    )
    rows["fraud"] = _chance(score.to_numpy(), rng)
    return rows


def customers() -> pd.DataFrame:
    """Subscribers; about one in four leaves within ninety days."""
    rng = np.random.default_rng(20261002)
    n = 5000
    rows = pd.DataFrame(
        {
            "tenure_months": rng.gamma(2.0, 14, n).round(),
            "monthly_fee": rng.normal(42, 14, n).clip(9).round(2),
            "support_calls": rng.poisson(1.1, n).astype(float),
            "days_since_login": rng.exponential(12, n).round(),
            "price_increases": rng.poisson(0.4, n).astype(float),
        }
    )
    angry = ((rows.support_calls >= 3) & (rows.price_increases >= 1)).astype(float)
    score = (
        -1.9
        - 0.035 * rows.tenure_months
        + 0.018 * rows.monthly_fee
        + 0.05 * rows.days_since_login
        + 0.45 * rows.price_increases
        + 2.2 * angry
    )
    rows["churned"] = _chance(score.to_numpy(), rng)
    return rows


def daily_sales() -> pd.DataFrame:
    """Units sold per day over eleven years, with week, season, price and weather in it."""
    rng = np.random.default_rng(20261003)
    n = 4000
    day = np.arange(n, dtype=float)
    rows = pd.DataFrame(
        {
            "day_of_week": day % 7,
            "day_of_year": day % 365,
            "price": rng.normal(4.9, 0.5, n).round(2),
            "temperature": (12 - 11 * np.cos(2 * np.pi * day / 365) + rng.normal(0, 3, n)).round(1),
            "promotion": (rng.random(n) < 0.12).astype(float),
        }
    )
    units = (
        420
        + 95 * (rows.day_of_week >= 5)
        + 60 * np.sin(2 * np.pi * rows.day_of_year / 365)
        - 45 * (rows.price - 4.9)
        + 7 * (rows.temperature - 22).clip(lower=0) ** 1.4
        + 130 * rows.promotion
    )
    rows["units"] = (units + rng.normal(0, 18, n)).round().clip(lower=0)
    return rows


def applicants() -> pd.DataFrame:
    """Applicants for a card and the limit (euro) that an analyst gave."""
    rng = np.random.default_rng(20261004)
    n = 3000
    rows = pd.DataFrame(
        {
            "income": rng.lognormal(10.4, 0.45, n).round(-1),
            "debt": rng.lognormal(8.2, 0.9, n).round(-1),
            "years_employed": rng.gamma(2.0, 4, n).round(1),
            "late_payments": rng.poisson(0.5, n).astype(float),
        }
    )
    limit = (
        0.16 * rows.income * np.exp(-0.35 * rows.late_payments)
        - 0.05 * rows.debt
        + 90 * rows.years_employed.clip(upper=12)
    )
    rows["limit"] = (limit + rng.normal(0, 400, n)).clip(lower=200).round(-1)
    return rows


PAYMENTS = Dataset(
    "card-payments", "s3://acme-data/payments/2026q3.parquet", "fraud", card_payments
)
CUSTOMERS = Dataset("customers", "s3://acme-data/crm/customers.parquet", "churned", customers)
SALES = Dataset("daily-sales", "s3://acme-data/sales/daily.parquet", "units", daily_sales)
APPLICANTS = Dataset("applicants", "s3://acme-data/credit/applicants.parquet", "limit", applicants)
