// Activates the bundled extension beside a stand-in for VS Code, in a folder that isn't trusted (so no server is started),
// and prints the commands that it registers. Argument: the bundle.

const Module = require("node:module");

const OBJECTS = ["Range", "Selection", "Task", "TaskGroup", "TaskScope", "Uri", "ViewColumn", "env", "languages", "tasks", "window"];
const commands = [];

/** Whatever is read, called or constructed of it is such a thing again. */
function anything() {
  return new Proxy(function () {}, {
    get: (target, key) => {
      if (key === "prototype") return target.prototype;
      if (key === Symbol.toPrimitive) return () => "";
      return key === "then" ? undefined : anything();
    },
    apply: () => anything(),
    construct: (_, __, as) => Reflect.construct(Object, [], as),
  });
}

const given = {
  version: "1.90.0",
  commands: { registerCommand: (name) => commands.push(name) },
  workspace: new Proxy({ isTrusted: false }, { get: (target, key) => target[key] ?? anything() }),
};
for (const name of OBJECTS) given[name] = anything();
const vscode = new Proxy(given, { get: (target, key) => target[key] ?? anything() });

const load = Module._load;
Module._load = (name, ...rest) => (name === "vscode" ? vscode : load(name, ...rest));
require(process.argv[2])
  .activate({ subscriptions: [], extensionUri: {} })
  .then(() => console.log(JSON.stringify(commands)));
