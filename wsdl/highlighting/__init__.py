"""Colors for programs, by patterns alone: the words of the language, and a lexer for Pygments."""
