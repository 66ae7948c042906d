// The extension: colors and snippets are data; here the language server, the tasks and the picture are started.

import * as vscode from "vscode";
import { LanguageClient } from "vscode-languageclient/node";
import { command } from "./command.js";
import { Picture } from "./picture.js";
import { Tasks, train } from "./tasks.js";

let client;

export async function activate(context) {
  const picture = new Picture(context.extensionUri);
  context.subscriptions.push(
    vscode.commands.registerCommand("wsdl.showPicture", () => trusted() && picture.show()),
    vscode.commands.registerCommand("wsdl.train", () => trusted() && train()),
    vscode.commands.registerCommand("wsdl.restart", restart),
    vscode.commands.registerCommand("wsdl.showMembers", showMembers),
    vscode.tasks.registerTaskProvider("wsdl", new Tasks()),
    vscode.workspace.onDidGrantWorkspaceTrust(restart),
    vscode.workspace.onDidChangeConfiguration((change) => change.affectsConfiguration("wsdl.path") && restart()),
    picture,
  );
  await restart();
}

export async function deactivate() {
  await client?.stop();
}

async function restart() {
  await client?.stop().catch(() => {}); // one that never started can't be stopped
  client = undefined;
  if (!vscode.workspace.isTrusted) return;
  const server = { command: command(), args: ["lsp"] };
  client = new LanguageClient("wsdl", "WSDL", server, {
    documentSelector: [{ language: "wsdl" }],
    synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher("**/*.{wsd,safetensors,npz}") },
  });
  client.registerFeature({
    fillClientCapabilities: (capabilities) => (capabilities.experimental = { commands: ["wsdl.showMembers"] }),
    initialize() {},
    getState: () => ({ kind: "static" }),
    clear() {},
  });
  try {
    await client.start();
  } catch (error) {
    const settings = "Open Settings";
    const message = `\`${server.command} lsp\` doesn't start (${error.message}). It needs: pip install "wsdl[lsp]". If it is in a virtual environment, set wsdl.path.`;
    if ((await vscode.window.showErrorMessage(message, settings)) === settings)
      await vscode.commands.executeCommand("workbench.action.openSettings", "wsdl.path");
  }
}

/** The command of a code lens: lists the layers that share. */
function showMembers(uri, position, locations) {
  const { asUri, asPosition, asLocation } = client.protocol2CodeConverter;
  const places = locations.map(asLocation);
  return vscode.commands.executeCommand("editor.action.showReferences", asUri(uri), asPosition(position), places);
}

function trusted() {
  if (!vscode.workspace.isTrusted) vscode.window.showWarningMessage("WSDL runs commands in trusted folders only.");
  return vscode.workspace.isTrusted;
}
