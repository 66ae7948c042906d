"""What all tests have in common."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadlines, as a machine may be busy; in CI the same examples each time, so that a change is judged by what it does.
settings.register_profile("wsdl", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("wsdl")
