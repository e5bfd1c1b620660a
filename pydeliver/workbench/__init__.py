"""What people do with their rules at the shell: judge them (`rehearse`), and say what came of it (`report`)."""
