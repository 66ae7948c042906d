"""Checks the `load`s of a program, without their files."""

from __future__ import annotations

from contextlib import suppress

from wsdl.diagnostics import Problems, deduplicated
from wsdl.ir.binding import dim_of_text
from wsdl.ir.graph import Module
from wsdl.ir.requests import INDEX, PLACEHOLDER, LoadMapping, LoadRequest, Select
from wsdl.ir.weight_files import unknown_format
from wsdl.sharing.paths import NotFound, Paths, target_of
from wsdl.sharing.targets import Target

MOST_PARTS = 3  # placeholders that match dots: each multiplies the ways to match a name by its length


def check_load(request: LoadRequest, target: Target, paths: Paths, problems: Problems) -> None:
    """Report errors of a `load`: the format of its file, its target, its table."""
    for file in request.files:
        if unknown := unknown_format(file):
            problems.error("E0501", request.file_span, unknown[0], help=unknown[1])
    modules = [f.thing for f in target.matches if isinstance(f.thing, Module)]
    several = any(isinstance(step, Select) for step in request.target.steps) and len(target.matches) > 1
    if several or len(target.groups) > 1:
        what = "groups" if target.groups else "layers" if modules else "parameters"
        problems.error(
            "E0505",
            request.target.span,
            "a file is loaded into one layer or one array, "
            f"but this selects {len(target.matches or target.groups)} {what}",
            f"several {what}",
            help="load into each of them separately"
            if target.groups
            else "name the array itself, or the layer around it and each parameter in a table: "
            '`"layers.{i}.{p}" -> blocks[i].{p}`',
        )
    elif request.mappings and len(modules) != 1:
        problems.error(
            "E0505",
            request.target.span,
            "the target of a table must be one layer",
            "an array of layers" if modules else "a parameter",
            help="name the layer around it, and start the paths of the table there",
        )
    for module in modules[:1]:
        reported = Problems()  # an error often occurs in every line of a table
        for mapping in request.mappings:
            with suppress(NotFound):
                _check_mapping(mapping, module, paths, reported)
        for problem in deduplicated(reported):
            problems.add(problem)


def _check_mapping(mapping: LoadMapping, target: Module, paths: Paths, problems: Problems) -> None:
    in_pattern = set(PLACEHOLDER.findall(mapping.pattern))
    indices, parts = placeholders(mapping)
    for name in sorted((indices | parts) - in_pattern):
        problems.error(
            "E0505",
            mapping.path_span,
            f"the target uses `{name}`, which is not in the pattern",
            help=f"write `{{{name}}}` at its position in the names of the file",
        )
        return
    if "}{" in mapping.pattern or len(parts) > MOST_PARTS:
        problems.error(
            "E0505",
            mapping.span,
            "there are too many ways to match this pattern",
            "two placeholders touch" if "}{" in mapping.pattern else f"{len(parts)} placeholders for several names",
            help=f"write the text between them; at most {MOST_PARTS} placeholders may match several names with dots",
        )
        return
    for index in INDEX.findall(mapping.path):
        if (dim_of_text(index).constant or 0) < 0:
            problems.error("E0505", mapping.path_span, "an index in a table counts from 0", f"is {index}")
            return
    matches = paths.find(target_of(mapping), target, problems, whole_arrays=True, many=min(in_pattern, default="i"))
    if "{" not in mapping.path and any(isinstance(f.thing, Module) for f in matches):
        problems.error(
            "E0505",
            mapping.path_span,
            "a tensor of the file fills one parameter, but this is a layer",
            "not a parameter",
            help=f"write `{mapping.path}.{{p}}`, and `{{p}}` in place of its parameter in the names of the file",
        )


def placeholders(mapping: LoadMapping) -> tuple[set[str], set[str]]:
    """The placeholders of a target that are indices, and those that are parts of its path."""
    indices = {name for index in INDEX.findall(mapping.path) for name in dim_of_text(index).names()}
    return indices, set(PLACEHOLDER.findall(INDEX.sub("", mapping.path)))
