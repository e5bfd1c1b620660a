"""Bytes safely into mailboxes: names and layouts, and one module a format, each with prepare, commit and rollback."""
