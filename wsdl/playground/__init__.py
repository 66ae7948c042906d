"""The playground: a page in which a program is checked as it is written, without a server."""
