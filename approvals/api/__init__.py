"""The REST API: one more door to the verbs, for programs and for people's scripts."""
