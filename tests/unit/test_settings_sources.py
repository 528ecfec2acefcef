"""Environment, secrets from files, what is shown, warnings, and the reference page."""
