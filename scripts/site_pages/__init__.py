"""The documentation site: its pages are gathered and generated here, ``scripts/site`` builds it."""
