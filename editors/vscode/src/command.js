// Which program the command `wsdl` is.

import * as path from "node:path";
import * as vscode from "vscode";

/** The setting `wsdl.path`; one with a folder in it is relative to the first folder of the workspace. */
export function command() {
  const set = vscode.workspace.getConfiguration("wsdl").get("path");
  const root = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  return root && /[\\/]/.test(set) ? path.resolve(root, set) : set;
}
