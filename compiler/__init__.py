"""From an elaborated program to a running module, and the command line."""
