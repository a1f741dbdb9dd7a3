"""The product's mind: models, policy, verbs and pages. It knows no outside service (import-linter)."""
