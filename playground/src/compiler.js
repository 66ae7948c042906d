// The worker with the compiler, as functions that give promises.

/** `compiler.ask(method, ...args)` calls a function of wsdl/playground/session.py; `onState` gets what is going on while it starts. */
export function startCompiler(onState) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let last = 0;
  worker.onmessage = ({ data }) => {
    if (data.id === undefined) return onState(data);
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    if ("error" in data) reject(new Error(data.error));
    else resolve(data.result);
  };
  worker.onerror = (event) => onState({ failed: event.message || "the worker could not be started" });
  return {
    ask: (method, ...args) =>
      new Promise((resolve, reject) => {
        waiting.set(++last, { resolve, reject });
        worker.postMessage({ id: last, method, args });
      }),
  };
}
