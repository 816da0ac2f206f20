"""The ops: functions on arrays, each with its derivatives under it."""
