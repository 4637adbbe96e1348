// Switches the theme, and draws a chart with Vega-Lite where somebody asks for it.
// Without this script the page has every figure and drawing, and no button.
"use strict";

const root = document.documentElement;

function isDark() {
  const chosen = root.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// ---- the theme

const themeSwitch = document.getElementById("theme");

function sayTheme() {
  themeSwitch.textContent = isDark() ? "Light" : "Dark";
  themeSwitch.setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
}

themeSwitch.hidden = false;
sayTheme();
themeSwitch.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  sayTheme();
  redraw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  sayTheme();
  redraw();
});

// ---- charts

const drawn = new Map(); // from a figure's button to what draws it

function tone(name) {
  return getComputedStyle(document.getElementById(`tone-${name}`)).color;
}

// Colours of the style sheet in the place of "tone:kept".
function coloured(value) {
  if (typeof value === "string" && value.startsWith("tone:")) return tone(value.slice(5));
  if (Array.isArray(value)) return value.map(coloured);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one)]));
}

function theme() {
  const [ink, quiet, line] = ["ink", "quiet", "line"].map(tone);
  const text = { labelColor: quiet, titleColor: quiet, labelFontSize: 12, titleFontSize: 12 };
  return {
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: { ...text, titleFontWeight: "normal", domainColor: line, tickColor: line,
            gridColor: line, labelLimit: 160 },
    legend: { ...text, labelColor: ink },
    range: { category: [1, 2, 3, 4, 5, 6, 7].map((number) => tone(`curve-${number}`)) },
    rule: { color: quiet },
  };
}

function rowsOf(columns) {
  const names = Object.keys(columns);
  const length = names.length ? columns[names[0]].length : 0;
  return Array.from({ length }, (_, row) =>
    Object.fromEntries(names.map((name) => [name, columns[name][row]])));
}

const quiet = { level() { return this; }, error: console.error, warn: console.warn,
                info() { return this; }, debug() { return this; } };
const noLoader = { load: () => Promise.reject(new Error("nothing is loaded")),
                   sanitize: () => Promise.reject(new Error("nothing is linked to")) };

// What one points at, as texts: names come from a model.
function showTip(tip, event, value) {
  tip.hidden = value === null || value === undefined || value === "";
  if (tip.hidden) return;
  tip.replaceChildren(...Object.entries(value).flatMap(([name, one]) => {
    const [term, said] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    said.textContent = String(one);
    return [term, said];
  }));
  const box = tip.parentElement.getBoundingClientRect();
  const left = Math.min(event.clientX - box.left + 12, box.width - tip.offsetWidth);
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${event.clientY - box.top + 14}px`;
}

async function draw(figure) {
  const { columns, spec } = JSON.parse(figure.querySelector("script").textContent);
  const place = figure.querySelector(".chart");
  const tip = figure.querySelector(".tip");
  const full = coloured({ ...spec, data: { values: rowsOf(columns) },
                          config: theme() });
  const compiled = wrgCharts.compile(full, { logger: quiet }).spec;
  const view = new wrgCharts.View(wrgCharts.parse(compiled, null, { ast: true }), {
    expr: wrgCharts.expressionInterpreter, container: place, renderer: "canvas", hover: true,
    loader: noLoader, logger: quiet, tooltip: (_, event, __, value) => showTip(tip, event, value),
  });
  await view.runAsync();
  return view;
}

async function toggle(figure, button) {
  const view = drawn.get(figure);
  const stage = figure.querySelector(".stage");
  const still = figure.querySelector(".still");
  if (view) {
    view.finalize();
    drawn.delete(figure);
  }
  stage.hidden = Boolean(view);
  still.classList.toggle("put-away", !view);
  const [before, after] = view ? ["Back", "Explore"] : ["Explore", "Back"];
  button.textContent = after;
  button.setAttribute("aria-label", button.getAttribute("aria-label").replace(before, after));
  figure.querySelector(".chart").replaceChildren();
  if (!view) drawn.set(figure, await draw(figure));
}

async function redraw() {
  for (const [figure, view] of drawn) {
    view.finalize();
    figure.querySelector(".chart").replaceChildren();
    drawn.set(figure, await draw(figure));
  }
}

for (const figure of document.querySelectorAll("figure.explorable")) {
  const button = figure.querySelector("button");
  button.hidden = false;
  button.addEventListener("click", () => toggle(figure, button));
}
