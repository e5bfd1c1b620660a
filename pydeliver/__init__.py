"""pydeliver: a mail delivery agent that sorts mail by rules people can read aloud."""

__version__ = "0.1.0"
