// Opens a report page in Chromium and tells as JSON what a reader would meet.
//
//   node report.mjs CHROMIUM PAGE.html [FOLDER]
//
// With FOLDER it keeps a picture of each theme and width there.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const [chromium, page, pictures] = process.argv.slice(2);
const address = pathToFileURL(page).href;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDTHS = { desktop: 1280, phone: 360 };

const browser = await puppeteer.launch({
  executablePath: chromium, headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});

// A page whose complaints and requests are noted.
async function opened(width, theme, scripts = true) {
  const tab = await browser.newPage();
  const met = { console: [], requests: [] };
  tab.on("console", (message) => met.console.push(`${message.type()}: ${message.text()}`));
  tab.on("pageerror", (error) => met.console.push(`error: ${error.message}`));
  tab.on("request", (request) => met.requests.push(request.url().slice(0, 200)));
  await tab.setJavaScriptEnabled(scripts);
  await tab.setViewport({ width, height: 900, isMobile: width < 500, hasTouch: width < 500 });
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
  await tab.goto(address, { waitUntil: "load" });
  return { tab, met };
}

// Only what somebody sees counts as a section that is there.
const looked = () => ({
  sections: [...document.querySelectorAll("main section")].map((one) => ({
    name: one.id, height: one.getBoundingClientRect().height,
    text: one.innerText.length, heading: one.querySelector("h2")?.innerText ?? "",
  })),
  sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  paper: getComputedStyle(document.body).backgroundColor,
  headings: [...document.querySelectorAll("h1, h2, h3")].map((one) => one.tagName),
  drawings: document.querySelectorAll(".still svg.plot").length,
  buttons: [...document.querySelectorAll("button")].filter((one) => one.checkVisibility()).length,
});

async function explored(tab) {
  const found = [];
  for (const figure of await tab.$$("figure.explorable")) {
    const button = await figure.$("button");
    await button.click();
    await tab.waitForFunction((one) => one.querySelector(".chart canvas"), { timeout: 20000 },
                              figure);
    found.push(await figure.evaluate((one) => {
      const canvas = one.querySelector(".chart canvas");
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      return { name: one.id, width: canvas.clientWidth, height: canvas.clientHeight,
               room: one.clientWidth, drawn: pixels.some((value) => value !== 0) };
    }));
    await tab.emulateMediaType("print");
    found.at(-1).printed = await figure.evaluate((one) =>
      one.querySelector(".still").checkVisibility() && !one.querySelector(".stage").checkVisibility());
    await tab.emulateMediaType("screen");
    if (pictures) await figure.screenshot({ path: `${pictures}/explored-${found.length}.png` });
    await button.click();
  }
  return found;
}

async function tabbed(tab) {
  await tab.reload({ waitUntil: "load" });
  const stops = [];
  for (let count = 0; count < 400; count += 1) {
    await tab.keyboard.press("Tab");
    const stop = await tab.evaluate(() => {
      const one = document.activeElement;
      return one === document.body ? "" :
        `${one.tagName.toLowerCase()} ${one.id || one.getAttribute("aria-label") || one.innerText}`;
    });
    if (!stop) break;
    stops.push(stop.slice(0, 120));
  }
  return stops;
}

async function judged(tab) {
  // Through the debugger, which the page's policy is not about.
  await tab.evaluate(axe);
  return tab.evaluate(async () => {
    const { violations } = await globalThis.axe.run();
    return violations.map((one) => `${one.id}: ${one.help}: ${one.nodes[0].html.slice(0, 200)}`);
  });
}

const told = { views: [] };
for (const theme of ["light", "dark"]) {
  for (const [device, width] of Object.entries(WIDTHS)) {
    const { tab, met } = await opened(width, theme);
    const view = { theme, device, ...(await tab.evaluate(looked)) };
    view.violations = await judged(tab);
    if (pictures) {
      await tab.screenshot({ path: `${pictures}/${device}-${theme}.png`, fullPage: true });
    }
    if (device === "desktop" && theme === "light") {
      view.explored = await explored(tab);
      view.stops = await tabbed(tab);
      await tab.focus("#theme");
      await tab.keyboard.press("Enter");
      view.switched = (await tab.evaluate(looked)).paper;
    }
    told.views.push({ ...view, ...met });
    await tab.close();
  }
}
const { tab, met } = await opened(WIDTHS.phone, "light", false);
// Without scripts nothing can be asked in the page; what is drawn and said is in its tree.
const tree = await tab.accessibility.snapshot({ interestingOnly: false });
const texts = [];
(function walk(node) { texts.push(node.name ?? ""); (node.children ?? []).forEach(walk); })(tree);
told.unscripted = { text: texts.join("\n"), ...met };
await browser.close();
process.stdout.write(JSON.stringify(told));
