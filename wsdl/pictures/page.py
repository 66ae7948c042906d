"""A picture as a page that needs nothing else: a click on a stored tensor lights its uses."""

from __future__ import annotations

from html import escape
from importlib.resources import files


def page(svg: str, title: str) -> str:
    """The HTML page of the SVG of a picture, as `svg_from_dot` returns it."""
    template, script = (
        (files("wsdl.pictures") / name).read_text(encoding="utf-8") for name in ("page.html", "light.js")
    )
    filled = template.replace("{script}", script).replace("{title}", escape(title))
    return filled.replace("{svg}", svg[svg.index("<svg") :])
