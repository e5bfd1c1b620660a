"""What people do with their rules: judge mail by them (`rehearse`), test them (`testing`), read of it (`report`)."""
