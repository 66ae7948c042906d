"""The page of the playground, and what builds it."""
