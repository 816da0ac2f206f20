"""Only test_*.py hold tests here; the cases are imported once."""

collect_ignore_glob = ["[!t]*.py"]
