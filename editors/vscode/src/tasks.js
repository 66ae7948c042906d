// Tasks for the program that is open: check, compile, train.

import * as path from "node:path";
import * as vscode from "vscode";
import { command } from "./command.js";

const ARGUMENTS = {
  check: () => ["--output-format", "concise"],
  compile: (name) => ["-o", path.join("build", name)],
  train: () => [],
};

export class Tasks {
  provideTasks() {
    const document = vscode.window.activeTextEditor?.document;
    if (document?.languageId !== "wsdl" || document.isUntitled) return [];
    const file = vscode.workspace.asRelativePath(document.uri, false);
    return ["check", "compile"].map((verb) => task({ type: "wsdl", command: verb, file }));
  }

  resolveTask(incomplete) {
    return task(incomplete.definition, incomplete.scope);
  }
}

/** Asks for the data, then trains the program that is open; the run is written beside it. */
export async function train() {
  const document = vscode.window.activeTextEditor?.document;
  if (document?.languageId !== "wsdl" || document.isUntitled) return;
  const [data] =
    (await vscode.window.showOpenDialog({
      title: "Data to train on",
      filters: { Data: ["npz", "csv", "parquet"], "All files": ["*"] },
    })) ?? [];
  if (!data) return;
  await document.save();
  const file = vscode.workspace.asRelativePath(document.uri, false);
  const run = path.join("runs", path.parse(file).name);
  await vscode.tasks.executeTask(
    task({ type: "wsdl", command: "train", file, args: ["--data", data.fsPath, "-o", run] }),
  );
}

function task(definition, scope = vscode.TaskScope.Workspace) {
  const { command: verb, file, args } = definition;
  const rest = args ?? ARGUMENTS[verb](path.parse(file).name);
  const process = new vscode.ProcessExecution(command(), [verb, file, ...rest]);
  const made = new vscode.Task(definition, scope, `${verb} ${file}`, "wsdl", process, verb === "check" ? "$wsdl-check" : "$wsdl");
  if (verb === "compile") made.group = vscode.TaskGroup.Build;
  return made;
}
