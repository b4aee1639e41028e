// A contract against spot: the basis of the last recorded hour, and the funding that runs. Nothing is shown for a market without contracts.
import { make, place, say, vector } from "./document.js";
import { tell } from "./pointed.js";
import { clock } from "./words.js";

const REFRESH_MS = 10000;
const STEP = 1e7; // microseconds
const HEIGHT = 60;
const bps = (value) => `${value.toFixed(2)} bps`;
const percent = (share, digits) => `${(share * 100).toFixed(digits)} %`;
let watched = null; // { venue, symbol }
let timer = 0;

export function watchBasis({ venue, symbol }) {
  if (watched?.venue !== venue || watched.symbol !== symbol) place("basis").hidden = true; // else the page would jump
  watched = { venue, symbol };
  load();
}

async function load() {
  const mine = watched;
  clearTimeout(timer);
  try {
    if (document.hidden) return;
    const answer = await fetch(`/api/basis?${new URLSearchParams(mine)}`);
    if (!answer.ok) throw new Error(answer.status === 503 ? "the warehouse does not answer" : `the page's server answered ${answer.status}`);
    const { pairs } = await answer.json();
    if (watched === mine) show(pairs);
  } catch (error) {
    if (watched === mine) say(place("basis-state"), `cannot load: ${error.message}; trying again`);
  } finally {
    if (watched === mine) timer = setTimeout(load, REFRESH_MS);
  }
}

function show(pairs) {
  place("basis").hidden = !pairs.length;
  say(place("basis-state"), "");
  const names = pairs.map(nameOf);
  const list = place("basis-pairs");
  if (list.dataset.names !== JSON.stringify(names)) {
    list.dataset.names = JSON.stringify(names);
    list.replaceChildren(...names.map(card));
  }
  pairs.forEach((pair, index) => draw(list.children[index], pair));
}

const nameOf = ({ venue, symbol, spot_venue, spot_symbol }) => `${venue} ${symbol}${spot_venue ? ` against ${spot_venue} ${spot_symbol}` : ", no spot recorded"}`;

function card(name) {
  const figure = make("figure", "", { class: "card" });
  const [scale, axis] = ["scale", "axis"].map((kind) => make("p", "", { class: `quiet ${kind}`, "aria-hidden": "true" }));
  scale.append(make("span"), make("span"), make("span"));
  axis.append(make("span"), make("span"));
  const plot = make("div", "", { class: "plot" });
  plot.append(vector("svg", { role: "img", preserveAspectRatio: "none" }), scale, axis);
  figure.append(make("h3", name), make("p", "", { class: "funding" }), plot, make("figcaption", "", { class: "quiet" }));
  return figure;
}

function draw(figure, pair) {
  const [title, funding, plot, caption] = figure.children;
  const [chart, scale, axis] = plot.children;
  const { basis, since, until } = pair;
  say(funding, fundingWords(pair));
  plot.hidden = !basis.length;
  const words = basis.length ? summary(pair) : pair.spot_venue ? "no second yet in which both books are verified" : "";
  if (!basis.length) {
    say(caption, words);
    return;
  }
  const values = basis.map(([, value]) => value);
  const spread = Math.max(...values) - Math.min(...values) || 0.1;
  const [low, high] = [Math.min(...values) - spread * 0.05, Math.max(...values) + spread * 0.05];
  const x = (at) => (at - since) / STEP;
  const y = (value) => ((high - value) / (high - low) * HEIGHT).toFixed(1);
  const width = x(until);
  chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  chart.setAttribute("aria-label", `Basis of ${title.textContent}: ${words}`);
  const levels = [high, (high + low) / 2, low];
  const path = basis.map(([at, value], index) => `${index && basis[index - 1][0] + STEP >= at ? "L" : `M ${x(at)} ${y(value)} L`} ${x(at) + 1} ${y(value)}`).join(" ");
  chart.replaceChildren(...holes(basis, x),
    ...levels.map((value) => vector("line", { class: "grid", x1: 0, x2: width, y1: y(value), y2: y(value) })), vector("path", { class: "line", d: path }));
  levels.forEach((value, line) => say(scale.children[line], value.toFixed(spread < 1 ? 2 : 1)));
  [since, until].forEach((at, end) => say(axis.children[end], clock(at).slice(11, 16)));
  tell(chart, caption, words, (share) => {
    const at = Math.floor((since + Math.min(share, 1 - 1e-9) * (until - since)) / STEP) * STEP;
    const found = basis.find(([opened]) => opened === at);
    return `${clock(at).slice(11, 19)} · ${found ? bps(found[1]) : "not verified"}`;
  });
}

// Between the first figure and the last one: seconds in which a book is not verified.
function holes(basis, x) {
  return basis.flatMap(([at], index) => {
    const end = index ? basis[index - 1][0] + STEP : at;
    return end < at ? [vector("rect", { class: "hole", x: x(end), y: 0, width: x(at) - x(end), height: HEIGHT })] : [];
  });
}

function summary({ basis, delivery }) {
  const [at, value, year] = basis.at(-1);
  const values = basis.map(([, one]) => one);
  const annual = year === null ? "" : `, ${percent(year, 2)} in a year, until ${clock(delivery).slice(0, 10)}`;
  return `${bps(value)}${annual} at ${clock(at).slice(0, 19)}, ${Math.min(...values).toFixed(2)} to ${bps(Math.max(...values))} in the hour`;
}

function fundingWords({ funding, delivery }) {
  if (delivery) return `delivery ${clock(delivery).slice(0, 16)}`;
  if (!funding || funding[0] === null) return "funding unknown: record the channel mark_prices";
  const [rate, next, hours, year] = funding;
  return `funding ${percent(rate, 4)} at ${clock(next).slice(11, 16)}, ${percent(year, 2)} in a year, ${hours === null ? "taken as every 8 h" : `every ${hours} h`}`;
}
