"""A training loop looked at while it runs, for the usual mistakes."""
