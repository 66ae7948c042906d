// The extension: colors and snippets are data; here the language server, the tasks and the picture are started.

import * as vscode from "vscode";
import { LanguageClient } from "vscode-languageclient/node";
import { command } from "./command.js";
import { Picture } from "./picture.js";
import { Tasks, train } from "./tasks.js";

let client;
let started; // the command of the client
let last = Promise.resolve(); // the last start
let log; // of all servers that are started; a client's own ends with it

class Client extends LanguageClient {
  /** That the server doesn't start is told once, by `restart`, which knows what to do about it. */
  error(message, data, show = true) {
    super.error(message, data, show && !this.starting);
  }
}

export async function activate(context) {
  const picture = new Picture(context.extensionUri);
  log = vscode.window.createOutputChannel("WSDL");
  context.subscriptions.push(
    vscode.commands.registerCommand("wsdl.showPicture", () => trusted() && picture.show()),
    vscode.commands.registerCommand("wsdl.train", () => trusted() && train()),
    vscode.commands.registerCommand("wsdl.restart", () => restart()),
    vscode.commands.registerCommand("wsdl.showMembers", showMembers),
    vscode.tasks.registerTaskProvider("wsdl", new Tasks()),
    vscode.workspace.onDidGrantWorkspaceTrust(renew),
    vscode.workspace.onDidChangeConfiguration((change) => change.affectsConfiguration("wsdl.path") && renew()),
    picture,
    log,
  );
  await restart();
}

export async function deactivate() {
  await client?.stop();
}

/** Another server, if the command is another one. That a folder is trusted changes its settings too, in the same moment. */
const renew = () => restart((wanted) => wanted !== started);

const always = () => true;

/** Another server, if `due(command)` when the start before this one is over: two at once would have the same commands. */
async function restart(due = always) {
  const starting = last.then(() => due(wanted()) && start());
  last = starting.catch(() => {});
  const problem = await starting;
  if (problem) await tell(problem);
}

/** The command, where it may be run. */
const wanted = () => (vscode.workspace.isTrusted ? command() : undefined);

/** Starts a server in place of the last one; gives why it doesn't start. */
async function start() {
  await client?.stop().catch(() => {}); // one that never started can't be stopped
  client = undefined;
  started = wanted();
  if (started === undefined) return undefined;
  client = new Client("wsdl", "WSDL", { command: started, args: ["lsp"] }, {
    documentSelector: ["file", "untitled"].map((scheme) => ({ scheme, language: "wsdl" })), // no previews and old versions
    middleware: { provideCompletionItem },
    outputChannel: log,
    initializationFailedHandler: () => false, // which tells nothing and doesn't try again
    synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher("**/*.{wsd,safetensors,npz}") },
  });
  client.registerFeature({
    fillClientCapabilities: (capabilities) => (capabilities.experimental = { commands: ["wsdl.showMembers"] }),
    initialize() {},
    getState: () => ({ kind: "static" }),
    clear() {},
  });
  client.starting = true;
  try {
    await client.start();
    client.starting = false; // of one that doesn't start all has been said
    return undefined;
  } catch (error) {
    return `\`${started} lsp\` doesn't start (${error.message ?? error}). It needs: pip install "wsdl[lsp]". If it is in a virtual environment, set wsdl.path.`;
  }
}

async function tell(problem) {
  const [settings, shown] = ["Open Settings", "Show Log"];
  const chosen = await vscode.window.showErrorMessage(problem, settings, shown);
  const which = vscode.workspace.workspaceFolders ? "openWorkspaceSettings" : "openSettings"; // those of the user lack it in a remote window
  if (chosen === settings) await vscode.commands.executeCommand(`workbench.action.${which}`, "wsdl.path");
  if (chosen === shown) log.show();
}

/** A call whose arguments are to be filled in shows what they are. */
async function provideCompletionItem(document, position, context, token, next) {
  const proposed = await next(document, position, context, token);
  for (const item of proposed?.items ?? proposed ?? [])
    if (/\(\$/.test(item.insertText?.value)) item.command = { command: "editor.action.triggerParameterHints", title: "" };
  return proposed;
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
