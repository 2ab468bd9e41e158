// Opens a page in a browser: `node browse.mjs MODULES VISIT`, VISIT a JSON object with `browser` (program), `url`,
// `width`, `dark`, `until` (an expression that becomes true), `then` (expressions that are evaluated in turn, each until
// it is neither null nor undefined nor false), `picture` (a file, or null).
// Prints one JSON object: `title`, `values` of the expressions, `errors` of the console, `wide`: whether it is wider than
// the window.
import { createRequire } from "node:module";
import { join } from "node:path";

const [, , modules, text] = process.argv;
const visit = JSON.parse(text);
const puppeteer = createRequire(join(modules, "index.js"))("puppeteer-core");
const browser = await puppeteer.launch({ executablePath: visit.browser, args: ["--no-sandbox", "--disable-gpu"] });
try {
  const page = await browser.newPage();
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.setViewport({ width: visit.width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: visit.dark ? "dark" : "light" }]);
  await page.goto(visit.url, { waitUntil: "load", timeout: 60000 });
  const values = [];
  for (const expression of [visit.until, ...visit.then]) {
    values.push(await valueOf(page, expression));
  }
  const wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth");
  if (visit.picture) await page.screenshot({ path: visit.picture });
  console.log(JSON.stringify({ title: await page.title(), values: values.slice(1), errors, wide }));
} finally {
  await browser.close();
}

// The page's own policy may forbid what `waitForFunction` does; a page that is being left has no value yet.
async function valueOf(page, expression) {
  for (const end = Date.now() + 60000; Date.now() < end; await new Promise((wake) => setTimeout(wake, 100))) {
    const value = await page.evaluate(expression).catch((error) => {
      if (!/context|navigat|detached|closed/.test(String(error))) throw error;
    });
    if (value !== null && value !== undefined && value !== false) return value;
  }
  throw new Error(`without a value for a minute: ${expression}`);
}
