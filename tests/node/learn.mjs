// A visit to the page of examples/browser: node learn.mjs CHROMIUM URL FOLDER > seen.json
//
// Lets it learn, teaches it a star, saves what it has learned and a picture of the page in FOLDER, and starts over.

import { join } from "node:path";

import { onPage } from "./chromium.mjs";

const [executable, url, folder] = process.argv.slice(2);
const ENOUGH = 85;    // percent
const STAR = [[0.5, 0.1], [0.74, 0.86], [0.12, 0.39], [0.9, 0.4], [0.27, 0.85], [0.5, 0.1]];

const seen = await onPage(executable, url, async (page, requests) => {
  const text = (id) => page.textContent(`#${id}`);
  const until = (condition, argument) => page.waitForFunction(condition, argument, { timeout: 60_000 });

  const draw = async (strokes, by) => {
    const pad = await page.locator("#pad").boundingBox();
    const at = ([x, y]) => [pad.x + (x * by + (1 - by) / 2) * pad.width, pad.y + y * pad.height];
    await page.mouse.move(...at(strokes[0]));
    await page.mouse.down();
    for (const point of strokes.slice(1)) await page.mouse.move(...at(point));
    await page.mouse.up();
  };

  await page.waitForSelector("#learn:enabled");
  await until(() => document.querySelector("#accuracy").textContent.includes("%"));
  const before = parseFloat(await text("accuracy"));
  await page.click("#learn");
  await until(() => parseFloat(document.querySelector("#loss").textContent));
  const first = parseFloat(await text("loss"));
  await until((enough) => parseFloat(document.querySelector("#accuracy").textContent) >= enough, ENOUGH);
  const [accuracy, last] = [parseFloat(await text("accuracy")), parseFloat(await text("loss"))];

  await draw(STAR, 1);
  await until(() => document.querySelector("#guess").textContent !== "?");
  const untaught = await text("guess");
  await page.click("#kinds button[title='This is ★']");
  await draw(STAR, 0.9);
  await page.click("#kinds button[title='This is ★']");
  await draw(STAR, 0.95);
  await until(() => document.querySelector("#guess").textContent === "★");
  await page.screenshot({ path: join(folder, "page.png") });

  await page.click("#learn");
  const download = page.waitForEvent("download");
  await page.click("#save");
  await (await download).saveAs(join(folder, "place.onnx"));

  await page.click("#restart");
  await until(() => document.querySelector("#steps").textContent.startsWith("0 steps"));
  const again = parseFloat(await text("accuracy"));
  return { before, again, accuracy, loss: [first, last], untaught, requests };
});
console.log(JSON.stringify(seen));
