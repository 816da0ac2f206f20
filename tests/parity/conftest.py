"""Only test_*.py hold tests here; the cases are imported by test_parity.py, once."""

collect_ignore_glob = ["[!t]*.py"]
