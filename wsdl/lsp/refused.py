"""Requests that can't be fulfilled, which editors show to who asked."""


class Refused(Exception):
    """The reason, as a sentence to be shown."""
