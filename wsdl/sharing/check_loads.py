"""Checks the `load`s of a program, without their files."""

from __future__ import annotations

import re
from contextlib import suppress

from wsdl.diagnostics import Problems, deduplicated
from wsdl.ir.graph import Module, Slot
from wsdl.ir.requests import PLACEHOLDER, LoadMapping, LoadRequest, Part, PathPattern, Select, SelectAt, ViewCall
from wsdl.ir.weight_files import unknown_format
from wsdl.sharing.load_patterns import MOST_SPLITS, general_path, splits
from wsdl.sharing.paths import NotFound
from wsdl.sharing.targets import Target, Targets


def check_load(request: LoadRequest, target: Target, targets: Targets, problems: Problems) -> None:
    """Report errors of a `load`: the format of its file, its target, its exceptions, its table."""
    for file in request.files:
        if unknown := unknown_format(file):
            problems.error("E0501", request.file_span, unknown[0], help=unknown[1])
    modules = [match.thing for match in target.matches if isinstance(match.thing, Module)]
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
        return
    is_array, is_parameter = len(modules) > 1, not modules and not target.layers
    if (request.mappings and is_parameter) or (request.exceptions and (is_parameter or is_array)):
        what = "`except`" if request.exceptions else "a table"
        problems.error(
            "E0505",
            request.target.span,
            f"the target of {what} must be a layer",
            "a parameter" if is_parameter else "an array of layers",
            help=f"name the layer around it, and start the paths of {what} there",
        )
        return
    for exception in request.exceptions:
        with suppress(NotFound):
            targets.of(below(request, exception), request.base, problems)
    reported = Problems()  # an error often occurs in every line of a table
    for mapping in request.mappings:
        with suppress(NotFound):
            _check_mapping(mapping, request, is_array, targets, reported)
    for problem in deduplicated(reported):
        problems.add(problem)


def below(request: LoadRequest, path: PathPattern) -> PathPattern:
    """A path that starts at the target of a `load`, from where the target's path starts."""
    return PathPattern((*request.target.steps, *path.steps), path.span)


def _check_mapping(
    mapping: LoadMapping, request: LoadRequest, is_array: bool, targets: Targets, problems: Problems
) -> None:
    if not (_check_placeholders(mapping, problems) and _check_indices(mapping, problems)):
        return
    in_pattern = {name for name, _ in PLACEHOLDER.findall(mapping.pattern)}
    path = general_path(mapping)
    if path.steps and is_array:
        problems.error(
            "E0505",
            mapping.path_span,
            "the target is an array of layers, and this doesn't say which of them",
            "begins with a name",
            help=f"begin with the index in the names of the file, `{{i}}.{mapping.path_span.text}`, "
            "or name the layer around the array as the target",
        )
        return
    target = targets.of(below(request, path), request.base, problems, many=min(in_pattern, default="i"))
    is_layer = not target.groups and not all(isinstance(match.thing, Slot) for match in target.matches)
    if len(path.steps) == len(mapping.path) and (is_layer or (target.groups and target.layers)):
        name = mapping.path_span.text
        problems.error(
            "E0505",
            mapping.path_span,
            "a tensor of the file fills one parameter, but this is a layer",
            "not a parameter",
            help=f"write `{name}.{{p}}`, and `{{p}}` in place of its parameter in the names of the file",
        )


def _check_placeholders(mapping: LoadMapping, problems: Problems) -> bool:
    """Whether the placeholders of both sides belong together; reports it if not."""
    if odd := re.search(r"\{[^}]*\}|[*{}]", PLACEHOLDER.sub("", mapping.pattern)):
        problems.error(
            "E0505",
            mapping.pattern_span,
            f"`{odd[0]}` is no placeholder",
            "in the name",
            help="write `{p}` for one part of a name, `{path...}` for several, and `{i}` for a number, `blocks[i]`",
        )
        return False
    in_pattern = dict(PLACEHOLDER.findall(mapping.pattern))
    in_path = {n: dots for step in mapping.path if isinstance(step, Part) for n, dots in PLACEHOLDER.findall(step.name)}
    of_views = {name for step in mapping.views if isinstance(step, SelectAt) for name in step.names()}
    of_path = {name for step in mapping.path if isinstance(step, SelectAt) for name in step.names()}
    for name in sorted((in_path.keys() | of_path) - in_pattern.keys() - (of_views & of_path)):
        problems.error(
            "E0505",
            mapping.path_span,
            f"the target uses `{name}`, which is not in the pattern",
            help=f"write `{{{name}}}` at its position in the names of the file"
            + ("" if name in in_path else f", or declare the constant: `let {name} = …`"),
        )
        return False
    for name in sorted(of_views - in_pattern.keys() - of_path):
        problems.error(
            "E0505",
            mapping.span,
            f"the slice uses `{name}`, which is neither a constant nor a placeholder",
            help=f"declare it with `let {name} = …`, or write it as an index of the target too",
        )
        return False
    if len(of_views - in_pattern.keys()) > 1:
        problems.error("E0505", mapping.span, "only one number of a line may be missing in the pattern", "two are")
        return False
    for name in sorted(in_path.keys() & in_pattern.keys()):
        if in_path[name] != in_pattern[name]:
            one, several = f"`{{{name}}}`", f"`{{{name}...}}`"
            problems.error(
                "E0505",
                mapping.span,
                f"{one} is one part of a name, and {several} stands for several",
                f"{one} on one side, {several} on the other",
                help="write it alike on both sides",
            )
            return False
    return _check_splits(mapping, problems)


def _check_splits(mapping: LoadMapping, problems: Problems) -> bool:
    """Whether a name can be matched in few steps; reports it if not."""
    if "}{" not in mapping.pattern and splits(mapping.pattern) <= MOST_SPLITS:
        return True
    problems.error(
        "E0505",
        mapping.span,
        "there are too many ways to match this pattern",
        "two placeholders touch" if "}{" in mapping.pattern else "too many placeholders",
        help=f"write the text between them; at most {MOST_SPLITS} may be `{{path...}}` or stand behind another one in "
        "the same part of a name",
    )
    return False


def _check_indices(mapping: LoadMapping, problems: Problems) -> bool:
    """Whether each index of the path names one layer; reports it if not. What follows the last name are views."""
    names = [number for number, step in enumerate(mapping.path) if isinstance(step, Part)]
    for step in mapping.path[: names[-1]]:
        if isinstance(step, Part | ViewCall):
            continue
        [*others, subscript] = step.subscripts
        if others or subscript is ... or isinstance(subscript, slice):
            problems.error(
                "E0505",
                step.span,
                "a tensor of the file fills one parameter, but this selects several",
                "several layers",
                help="write `[i]`, and `{i}` in place of the number in the names of the file",
            )
            return False
        if isinstance(subscript, int) and subscript < 0:
            problems.error("E0505", mapping.path_span, "an index in a table counts from 0", f"is {subscript}")
            return False
    return True
