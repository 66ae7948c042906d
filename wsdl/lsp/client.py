"""What a client has said about itself at the start of a session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.uris import to_fs_path

if TYPE_CHECKING:  # the playground has no server
    from pygls.workspace import Workspace

SHOW_MEMBERS = "wsdl.showMembers"  # lists locations; a client that has it says so in `experimental.commands`


@dataclass(frozen=True)
class Client:
    """`folders` are those of its workspace; the others say what edits of several files may be."""

    folders: tuple[Path, ...] = ()
    takes_versions: bool = False  # of the documents that an edit changes
    takes_annotations: bool = False  # reasons of changes, which a user confirms
    shows_members: bool = False  # by its command `wsdl.showMembers`
    shows_documents: bool = False  # when the server asks for it
    asks_later: bool = False  # for the edits of a code action, when it is chosen
    takes_snippets: bool = False  # texts with places to fill in

    @classmethod
    def of(cls, capabilities: types.ClientCapabilities, workspace: Workspace) -> Client:
        edits = capabilities.workspace.workspace_edit if capabilities.workspace else None
        actions = capabilities.text_document.code_action if capabilities.text_document else None
        completion = capabilities.text_document.completion if capabilities.text_document else None
        proposed = completion.completion_item if completion else None
        later = actions.resolve_support if actions and actions.data_support else None
        uris = [folder.uri for folder in workspace.folders.values()] or [workspace.root_uri or ""]
        return cls(
            tuple(Path(path) for uri in uris if (path := to_fs_path(uri))),
            takes_versions=bool(edits and edits.document_changes),
            takes_annotations=bool(edits and edits.change_annotation_support),
            shows_members=SHOW_MEMBERS in _commands(capabilities.experimental),
            shows_documents=bool(capabilities.window and capabilities.window.show_document),
            asks_later=bool(later and "edit" in later.properties),
            takes_snippets=bool(proposed and proposed.snippet_support),
        )


def _commands(experimental: Any) -> list[Any]:
    """The commands that a client has, as clients of other servers say it."""
    listed = experimental.get("commands") if isinstance(experimental, dict) else getattr(experimental, "commands", None)
    return list(listed) if isinstance(listed, list | tuple) else []
