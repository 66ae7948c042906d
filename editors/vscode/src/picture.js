// The picture of the open program in a panel beside it: drawn by `wsdl graph` when the file is saved.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import { promisify } from "node:util";
import * as vscode from "vscode";
import { command } from "./command.js";

const WORD = /[\p{L}_][\p{L}\p{N}_]*/u;
const NAME = new RegExp(`^${WORD.source}$`, "u");

export class Picture {
  constructor(extension) {
    this.extension = extension;
    this.listeners = [
      vscode.window.onDidChangeActiveTextEditor((editor) => this.follow(editor)),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => this.follow(textEditor)),
      vscode.workspace.onDidSaveTextDocument((saved) => this.panel && saved.languageId === "wsdl" && this.draw()),
    ];
  }

  dispose() {
    this.listeners.forEach((listener) => listener.dispose());
    this.panel?.dispose();
  }

  async show() {
    const editor = vscode.window.activeTextEditor;
    if (!this.panel) {
      const media = vscode.Uri.joinPath(this.extension, "media");
      const options = { enableScripts: true, localResourceRoots: [media], retainContextWhenHidden: true };
      const column = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
      this.panel = vscode.window.createWebviewPanel("wsdl.picture", "Picture", column, options);
      this.panel.iconPath = vscode.Uri.joinPath(media, "icon.svg");
      this.panel.webview.html = this.page(media);
      this.panel.webview.onDidReceiveMessage((message) => this.receive(message));
      this.panel.onDidDispose(() => (this.panel = this.document = undefined));
    }
    this.panel.reveal(undefined, true);
    this.follow(editor);
  }

  /** Draws another program when its editor becomes the active one, and lights what the cursor is on. */
  follow(editor) {
    if (!this.panel || editor?.document.languageId !== "wsdl") return;
    if (this.document !== editor.document) {
      this.document = editor.document;
      this.draw();
    }
    const range = editor.document.getWordRangeAtPosition(editor.selection.active, WORD);
    this.panel.webview.postMessage({ word: range ? editor.document.getText(range) : "" });
  }

  /** An error leaves the last picture and shows the message above it; a program that was saved later wins. */
  async draw() {
    const document = this.document;
    if (!document) return;
    const drawing = (this.drawing = Symbol());
    this.panel.title = `Picture of ${path.basename(document.fileName)}`;
    const folder = await mkdtemp(path.join(os.tmpdir(), "wsdl-"));
    let message;
    try {
      const file = path.join(folder, "picture.svg");
      await promisify(execFile)(command(), ["graph", document.fileName, "-o", file]);
      message = { svg: await readFile(file, "utf-8"), file: document.fileName };
    } catch (error) {
      message = { error: error.stderr || error.message, file: document.fileName };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    if (this.drawing === drawing) this.panel?.webview.postMessage(message);
  }

  /** Messages of the page: that it has loaded, or the name of what was clicked, whose declaration is shown. */
  async receive({ loaded, name }) {
    if (loaded) return this.draw();
    if (!NAME.test(name) || !this.document) return; // a formula has no name
    const declared = new RegExp(`\\b(?:layer|param|state|share|model)\\s+${name}(?![\\p{L}\\p{N}_])`, "u").exec(this.document.getText());
    if (!declared) return;
    const start = this.document.positionAt(declared.index);
    const editor = await vscode.window.showTextDocument(this.document, { viewColumn: vscode.ViewColumn.One, preserveFocus: true });
    editor.revealRange(new vscode.Range(start, start), vscode.TextEditorRevealType.InCenterIfOutsideViewport);
    editor.selection = new vscode.Selection(start, start);
  }

  page(media) {
    const { webview } = this.panel;
    const [script, style] = ["picture.js", "picture.css"].map((name) =>
      webview.asWebviewUri(vscode.Uri.joinPath(media, name)),
    );
    const policy = `default-src 'none'; script-src ${webview.cspSource}; style-src ${webview.cspSource}`;
    return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<link rel="stylesheet" href="${style}">
<title>Picture</title>
</head>
<body><pre id="error" role="status" hidden></pre><main id="picture"></main><script src="${script}"></script></body>
</html>`;
  }
}
