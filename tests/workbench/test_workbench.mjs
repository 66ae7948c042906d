// The extension in VS Code's workbench, as somebody uses it: node --test --test-concurrency=1 tests/workbench/test_workbench.mjs
//
// The environment: WSDL is the command, CHROMIUM the browser, VSIX the packed extension, SHOTS a folder for pictures.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, describe, test } from "node:test";
import { serve, Workbench } from "./workbench.mjs";

const { WSDL: wsdl, CHROMIUM: chromium, VSIX: vsix, SHOTS: shots } = process.env;
const example = (name) => readFileSync(path.join(import.meta.dirname, `../../examples/${name}.wsd`), "utf8");
const LM = example("lm");
const SIAMESE = example("siamese");
const ENCODER = `## Encodes what is compared.
block Encoder(size: int = 32)(x: f32[n, d]) -> f32[n, size] {
    return x |> Dense(size) |> relu
}
`;
const COMPARE = `from "./encoder.wsd" import Encoder

model compare(a: f32[n, 64], b: f32[n, 64]) -> (same: f32[n]) {
    layer encode = Encoder(size=16)
    layer other = Encoder(size=16)
    return sum(encode(a) * other(b), axis=1)
}
`;
const FILES = { "lm.wsd": LM, "siamese.wsd": SIAMESE, "encoder.wsd": ENCODER, "compare.wsd": COMPARE };
FILES["autoencoder.wsd"] = example("tied_autoencoder");

/** Tests in one workbench, which begins anew for each `describe`; a test that fails leaves a picture. */
function inWorkbench(title, options, tests) {
  describe(title, () => {
    let server, workbench;
    before(async () => {
      server = await serve({ vsix, wsdl, files: FILES, ...options });
      workbench = await Workbench.open(server, chromium, shots);
    });
    after(async () => {
      await workbench?.close();
      await server?.close();
    });
    tests((name, run) =>
      test(name, async () => {
        try {
          await run(workbench, workbench.page, server);
        } catch (error) {
          await workbench.shot(`failed: ${name}`);
          throw error;
        }
      }),
    );
  });
}

inWorkbench("a trusted folder", {}, (test) => {
  test("colors, hints, lenses", async (w, page) => {
    await w.edit("lm.wsd");
    assert.deepEqual(await w.texts(".codelens-decoration a"), [
      "5.9 M parameters, 23.5 MB, 31.3 MB saved", "2 uses of 8.2 MB, 8.2 MB saved", "12 uses of 2.1 MB, 23.1 MB saved",
    ]);
    await page.locator(".view-line", { hasText: "2.0 M parameters, shared" }).first().waitFor();
    const lines = await w.texts(".editor-instance .view-line");
    assert.ok(lines.includes("    h: f32[n, t, 256] = tok(ids) + pos(arange(t))"), lines.join("\n"));
    await w.styled("tok", { color: "rgb(143, 90, 0)", fontWeight: "700" }); // asked for by itself, some moments later
    assert.notEqual((await w.style("layer")).color, (await w.style("Embedding")).color);
    assert.equal((await w.style("norm")).fontWeight, "400");
    await w.shot("opened");
  });

  test("a click on a lens lists who shares", async (w, page) => {
    await page.locator(".codelens-decoration a", { hasText: "12 uses" }).click();
    assert.deepEqual(await w.texts(".peekview-widget .ref-tree .monaco-list-row"), [
      "layer ffn = FeedForward(4 * d)", "return x + ffn(norm2(x))",
    ]);
    await w.shot("lens");
    await w.press("Escape");
  });

  test("hover, and all that reads the tensor is marked", async (w, page) => {
    await w.at(LM, "head = Dense", 1);
    await w.command("Show or Focus Hover");
    const [about] = await w.texts(".monaco-hover .hover-row");
    assert.match(about, /lm\.embedding: f32\[8000, 256\], 8\.2 MB, read 2 times: lm\.tok\.weight, lm\.head\.weight/);
    await page.waitForFunction(() => document.querySelectorAll(".wordHighlightText, .wordHighlight, .wordHighlightStrong").length >= 5);
    await w.shot("hover");
    await w.press("Escape");
  });

  for (const delay of [0, 70, 140])
    test(`completion while typing, ${delay} ms a key`, async (w, page) => {
      await w.at(LM, "\n    return head");
      await w.press("Enter");
      await page.keyboard.type("h = h |> Den", { delay });
      const [first] = await w.texts(".suggest-widget.visible .monaco-list-row .label-name");
      assert.equal(first, "Dense");
      await w.shot("completion");
      await w.press("Escape");
      await w.revert();
    });

  test("what is completed shows its parameters", async (w, page) => {
    await w.at(LM, "\n    return head");
    await w.press("Enter");
    await w.type("h = h |> Den");
    await page.locator(".suggest-widget.visible .monaco-list-row.focused", { hasText: "Dense" }).waitFor();
    await w.press("Enter");
    assert.deepEqual(await w.texts(".parameter-hints-widget.visible .signature"), ["Dense(units: int, bias: bool = true)"]);
    assert.deepEqual(await w.texts(".parameter-hints-widget.visible .parameter.active"), ["units: int"]);
    await w.shot("signature");
    await w.type("d, ");
    await page.locator(".parameter-hints-widget.visible .parameter.active", { hasText: "bias" }).waitFor();
    await w.press("Escape");
    await w.revert();
  });

  test("a mistake is underlined, and mended by its quick fix", async (w, page) => {
    await w.edit("siamese.wsd");
    await page.locator(".codelens-decoration a:visible", { hasText: "105.2 k parameters" }).waitFor();
    await w.at(SIAMESE, "relu", 4);
    await w.type("x");
    await page.waitForSelector(".squiggly-error");
    await w.press("Escape");
    await w.press("Control+.");
    assert.deepEqual(await w.texts(".action-widget .monaco-list-row.action"), ["Replace relux by relu"]);
    await w.shot("mistake");
    await w.press("Enter");
    await page.waitForSelector(".squiggly-error", { state: "detached" });
    await w.saved("siamese.wsd", SIAMESE);
  });

  test("two layers are tied", async (w) => {
    await w.edit("compare.wsd");
    assert.deepEqual(await w.texts(".codelens-decoration"), ["2.1 k parameters, 8.3 kB"]);
    await w.at(COMPARE, "other = ", 1);
    await w.press("Control+.");
    assert.deepEqual(await w.texts(".action-widget .monaco-list-row.action"), ["Tie these: share { other, encode }"]);
    await w.press("Enter");
    const layer = "    layer other = Encoder(size=16)\n";
    await w.page.locator(".codelens-decoration a:visible", { hasText: "2 uses of 4.2 kB" }).waitFor();
    await w.shot("tied");
    await w.saved("compare.wsd", COMPARE.replace(layer, `${layer}    share { other, encode }\n`));
    await w.press("Control+Z");
    await w.saved("compare.wsd", COMPARE);
  });

  test("a block is renamed in two files", async (w) => {
    await w.edit("encoder.wsd");
    await w.at(ENCODER, "Encoder(", 1);
    await w.rename("Eye");
    await w.page.locator(".view-line:visible", { hasText: "block Eye" }).waitFor();
    await w.saved("encoder.wsd", ENCODER.replace("Encoder", "Eye"));
    await w.edit("compare.wsd");
    await w.saved("compare.wsd", COMPARE.replaceAll("Encoder", "Eye"));
  });

  test("a rename of stored tensors is confirmed, and says why", async (w, page) => {
    const text = COMPARE.replaceAll("Encoder", "Eye");
    await w.at(text, "encode = ", 1);
    await w.rename("trunk");
    const told = await w.texts(".notification-toast .notification-list-item-message");
    assert.match(told[0], /^The rename changes the names of 2 stored tensors: files of weights .*compare\.encode\S* →/);
    await page.locator(".bulk-edit-panel .monaco-checkbox, .bulk-edit-panel .edit-checkbox").first().click();
    await w.shot("confirm");
    assert.equal(await page.locator(".squiggly-error").count(), 0);
    await page.getByRole("button", { name: "Apply" }).click();
    await page.locator(".view-line:visible", { hasText: "layer trunk" }).waitFor();
    await w.saved("compare.wsd", text.replaceAll("encode", "trunk").replace("./trunkr", "./encoder"));
    await w.command("View: Toggle Panel Visibility");
  });

  test("the picture follows the cursor and stays where it is", async (w, page) => {
    await w.edit("lm.wsd");
    await w.at(LM, "head(norm", 1);
    await page.locator(".title-actions [aria-label*='Show the Picture'], .editor-actions [aria-label*='Show the Picture']").first().click();
    const picture = await w.frame("#picture");
    await picture.waitForSelector("svg");
    const marked = (name) => picture.locator(".cursor", { hasText: name }).waitFor();
    await marked("head");
    await w.at(LM, "pos(arange", 1);
    await marked("pos");
    await picture.locator(".node", { hasText: /\bembedding\b/ }).click();
    await picture.waitForSelector(".dimmed .node.lit");
    const lit = await picture.locator(".node.lit text:first-of-type").allTextContents();
    assert.deepEqual(lit.sort(), ["embedding", "head", "tok"]);
    await page.locator(".active-line-number:visible", { hasText: /^22$/ }).waitFor(); // where the group is declared
    await w.shot("picture");
    await w.edit("siamese.wsd"); // from inside of the picture, whose place it doesn't take
    await page.locator(".tab", { hasText: "Picture of siamese.wsd" }).waitFor();
    await picture.locator("svg", { hasText: "tower" }).waitFor();
    await w.at(SIAMESE, "relu", 4);
    await w.type("x");
    await w.press("Control+S");
    await picture.locator("#error", { hasText: "there is no `relux` in scope" }).waitFor();
    assert.equal(await picture.locator("svg").count(), 1);
    await w.press("Control+Z");
    await w.saved("siamese.wsd", SIAMESE);
    await picture.locator("#error").waitFor({ state: "hidden" });
    await w.command("Preferences: Toggle between Light/Dark Themes");
    await picture.waitForSelector(".vscode-dark");
    await page.waitForTimeout(500);
    await w.shot("dark");
    assert.equal((await w.style("tower")).color, "rgb(229, 168, 59)");
    await w.command("Preferences: Toggle between Light/Dark Themes");
    await picture.waitForSelector(".vscode-light");
  });

  test("tasks compile, and train", async (w, page, { folder }) => {
    const task = async (name) => {
      await w.command("Tasks: Run Task");
      const entry = (name) => page.locator(".quick-input-list .monaco-list-row", { hasText: name }).first();
      await entry("wsdl").click();
      await entry(name).click();
    };
    await task("compile siamese.wsd");
    await w.until(() => existsSync(path.join(folder, "build/siamese/siamese.onnx")));
    await page.locator(".xterm-rows", { hasText: "one copy per tensor" }).waitFor();
    await w.shot("compile");
    const data = "import numpy; numpy.savez('images.npz', image=numpy.random.default_rng(0).random((640, 784), dtype='f'))";
    execFileSync(path.join(path.dirname(wsdl), "python"), ["-c", data], { cwd: folder });
    await w.edit("autoencoder.wsd");
    await w.command("WSDL: Train…");
    await page.locator(".quick-input-list .monaco-list-row", { hasText: "images.npz" }).click();
    await w.until(() => existsSync(path.join(folder, "runs/autoencoder/last.safetensors")));
    await page.locator(".xterm-rows", { hasText: "10 steps" }).waitFor();
    await w.shot("train");
  });
});

inWorkbench("a folder that isn't trusted", { trusted: false }, (test) => {
  test("colors only, until it is", async (w, page) => {
    await w.edit("lm.wsd");
    await page.waitForTimeout(1500);
    assert.equal(await page.locator(".codelens-decoration a").count(), 0);
    assert.notEqual((await w.style("layer")).color, (await w.style("Embedding")).color);
    await w.shot("restricted");
    await w.command("Workspaces: Manage Workspace Trust");
    await page.getByRole("button", { name: "Trust", exact: true }).click();
    await page.getByText("You trust this folder").waitFor();
    await page.locator(".modal-editor-action-container .codicon-close").click(); // else keys don't reach the workbench below it
    await page.locator(".modal-editor-part").waitFor({ state: "detached" });
    await w.edit("lm.wsd");
    assert.match((await w.texts(".codelens-decoration a"))[0], /parameters/);
    assert.equal(await page.locator(".notification-toast").count(), 0); // one server was started
  });
});

inWorkbench("a command that isn't there", { wsdl: "/nowhere/wsdl" }, (test) => {
  test("one message says what to do", async (w, page) => {
    await w.edit("lm.wsd");
    const [message, ...more] = await w.texts(".notification-toast .notification-list-item-message");
    assert.match(message, /^`\/nowhere\/wsdl lsp` doesn't start \(.*ENOENT.*\)\. It needs: pip install "wsdl\[lsp\]"/);
    assert.deepEqual(more, []);
    await w.shot("missing");
    await page.getByRole("button", { name: "Open Settings" }).click();
    await page.locator(".settings-editor", { hasText: "The command wsdl" }).waitFor();
  });
});

const WITHOUT = path.join(mkdtempSync(path.join(tmpdir(), "wsdl-without-")), "wsdl");
writeFileSync(WITHOUT, "#!/bin/sh\necho 'error[E0782]: the language server needs pygls' >&2\nexit 2\n", { mode: 0o755 });
after(() => rmSync(path.dirname(WITHOUT), { recursive: true }));

inWorkbench("a command without its language server", { wsdl: WITHOUT }, (test) => {
  test("one message says it, and leads to the log", async (w, page) => {
    await w.edit("lm.wsd");
    const told = () => w.texts(".notification-toast .notification-list-item-message");
    assert.match((await told())[0], /lsp` doesn't start/);
    await page.waitForTimeout(1000);
    assert.equal((await told()).length, 1);
    await page.getByRole("button", { name: "Show Log" }).click();
    await page.locator(".part.panel .monaco-select-box, .part.panel select").filter({ hasText: "WSDL" }).first().waitFor(); // empty without the native logger
  });
});
