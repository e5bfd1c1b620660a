"""The only code that touches what is dangerous in an operating system: trust, durability, privileges, signals."""
