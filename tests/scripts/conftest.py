"""These files are programs, which test_torch_scripts.py runs: pytest itself must not import them."""

collect_ignore_glob = ["*"]
