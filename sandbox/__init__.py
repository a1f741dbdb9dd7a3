"""Stand-ins for GitHub and Slack, so that the whole product can be tried with no account."""
