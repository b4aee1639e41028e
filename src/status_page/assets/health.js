// Health of the last 24 hours, or since it is known: small charts of five minutes each. Where nobody reported a figure, its line has a hole.
import { make, offerFiles, place, say, vector } from "./document.js";
import { tell } from "./pointed.js";
import { clock, count, size } from "./words.js";

const REFRESH_MS = 60000;
const HEIGHT = 60;
const LEAST_SLOTS = 12; // an hour: a chart of what has just begun is no wider
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const QUEUES = "Queues, since this page started"; // has a past of its own
const round = (value) => Number(value.toPrecision(3)).toLocaleString("en");
const time = (ms) => ms < 1000 ? `${round(ms)} ms` : `${round(ms / 1000)} s`;
const percent = (share) => `${round(share * 100)} %`;
const FIGURES = [
  ["Messages per second", round, [["", "messages_per_second"]]],
  ["Rows per second", round, [["", "rows_per_second"]]],
  ["Lake, per day at this rate", size, [["", "lake_bytes_per_day"]]],
  ["From event to receipt", time, [["p50", "receipt_p50_ms"], ["p99", "receipt_p99_ms"]]],
  ["From receipt to queryable", time, [["p50", "load_p50_ms"], ["p99", "load_p99_ms"]]],
  [QUEUES, count, [["waiting", "waiting"], ["dead", "dead"]]],
  ["Spool", size, [["", "spool_bytes"]]],
  ["Request weight used", percent, [["", "weight_share"]]],
  ["Memory of the largest recorder", size, [["", "memory_bytes"]]],
  ["Disk free at the recorder", size, [["", "free_bytes"]]],
];
let isSeen = false;
let timer = 0;

export function watchHealth() {
  offerFiles("health-files", "health", () => ({}));
  place("figures").append(...FIGURES.map(([title, , lines], index) => card(title, lines, index)));
  new IntersectionObserver((entries) => { // nobody looks: nothing is asked
    isSeen = entries.at(-1).isIntersecting;
    if (isSeen) load();
  }, { rootMargin: "200px" }).observe(place("health"));
}

async function load() {
  if (timer || !isSeen) return;
  timer = setTimeout(() => { timer = 0; load(); }, REFRESH_MS);
  try {
    const got = await fetch("/api/health");
    if (!got.ok) throw new Error(got.status === 503 ? "the warehouse does not answer" : `the page's server answered ${got.status}`);
    show(await got.json());
  } catch (error) {
    say(place("health-state"), `cannot load: ${error.message}`);
  }
}

function card(title, lines, index) {
  const figure = make("figure", "", { class: "card" });
  const chart = vector("svg", { role: "img", preserveAspectRatio: "none", id: `figure-${index}`, "aria-label": title });
  const names = lines.length > 1 ? ` · ${lines[0][0]}\u00a0—, ${lines[1][0]}\u00a0-\u00a0-` : "";
  const [scale, axis] = ["scale", "axis"].map((name) => make("p", "", { class: `quiet ${name}`, "aria-hidden": "true" }));
  scale.append(make("span"), make("span"), make("span", "0"));
  axis.append(make("span"), make("span"));
  const plot = make("div", "", { class: "plot" });
  plot.append(chart, scale, axis);
  figure.append(make("h3", title + names), plot, make("figcaption", "", { class: "quiet" }));
  return figure;
}

function show({ columns, slots, until }) {
  const isThere = slots.some((slot) => slot.slice(1, 12).some((value) => value !== null));
  say(place("health-state"), isThere ? "" : "nothing was recorded in this time");
  const known = FIGURES.map(([, , lines]) => lines.map(([, name]) => { const at = columns.indexOf(name); return slots.map((slot) => slot[at]); }));
  const of = (wanted) => firstKnown(known.filter((_, index) => (FIGURES[index][0] === QUEUES) === wanted).flat());
  const begins = new Map([[true, of(true)], [false, of(false)]]);
  FIGURES.forEach(([title, write, lines], index) => {
    const begun = begins.get(title === QUEUES);
    const first = Math.max(0, Math.min(begun, slots.length - LEAST_SLOTS)); // that is drawn
    draw(place(`figure-${index}`), title, write, lines, known[index].map((values) => values.slice(first)), slots.slice(first), until, begun - first);
  });
}

// The slot of the first figure of all; beyond every slot where there is none.
const firstKnown = (series) => Math.min(...series.map((values) => values.findIndex((value) => value !== null)).filter((slot) => slot >= 0));

// `begun`: before this slot nothing was recorded at all, which is no hole.
function draw(chart, title, write, lines, series, slots, until, begun) {
  const words = summary(slots, series, lines, write);
  chart.setAttribute("viewBox", `0 0 ${slots.length} ${HEIGHT}`);
  chart.setAttribute("aria-label", `${title}: ${words}`);
  const most = above(Math.max(...series.flat().map((value) => value ?? 0)));
  const levels = [most, most / 2, 0].map((value) => vector("line", { class: "grid", x1: 0, x2: slots.length, y1: height(value, most), y2: height(value, most) }));
  chart.replaceChildren(...holes(series[0], begun), ...levels, ...series.map((values, line) => vector("path", { class: line ? "line second" : "line", d: path(values, most) })));
  const isKnown = series[0].some((value) => value !== null);
  const [scale, axis] = [...chart.parentElement.children].slice(1);
  const [top, middle] = [most, most / 2].map((value) => write === count && value % 1 ? "" : write(value).replace(".0 ", " "));
  [top, middle === top ? "" : middle].forEach((words, line) => say(scale.children[line], isKnown ? words : ""));
  [slots[0]?.[0] ?? until, until].forEach((at, end) => say(axis.children[end], moment(at, until)));
  tell(chart, chart.closest("figure").lastElementChild, words, (share) => {
    const slot = Math.min(slots.length - 1, Math.floor(share * slots.length));
    return slot < 0 ? words : `${clock(slots[slot][0]).slice(0, 16)} · ${values(series, lines, slot, write)}`;
  });
}

// The next of 1, 2, 5, 10, 20, …: the top of an axis.
export function above(value) {
  if (value <= 0) return 1;
  const ten = 10 ** Math.floor(Math.log10(value));
  return ten * [1, 2, 5, 10].find((step) => step * ten >= value * 0.999999);
}

// The time of day; of another day than the end's with its name.
function moment(us, end) {
  const day = clock(us).slice(0, 10) === clock(end - 1).slice(0, 10) ? "" : `${DAYS[new Date(us / 1000).getUTCDay()]} `;
  return day + clock(us).slice(11, 16);
}

const values = (series, lines, slot, write) => series.map((one, index) => `${lines[index][0]} ${one[slot] === null ? "not reported" : write(one[slot])}`.trim()).join(", ");

// The newest values, and the highest with its time.
function summary(slots, series, lines, write) {
  const last = series[0].findLastIndex((value) => value !== null);
  if (last < 0) return "not reported";
  let [name, most, at] = ["", -1, last];
  series.forEach((one, line) => one.forEach((value, slot) => { if (value !== null && value > most) [name, most, at] = [lines[line][0], value, slot]; }));
  const highest = `highest ${name} ${write(most)}`.replace("  ", " ");
  return `${values(series, lines, last, write)} at ${clock(slots[last][0]).slice(11, 16)}, ${highest} at ${clock(slots[at][0]).slice(11, 16)}`;
}

const height = (value, most) => (HEIGHT - 2 - (value / most) * (HEIGHT - 6)).toFixed(1);

// Each run of values from the begin of its first slot to the end of its last: one value is a line too.
function path(values, most) {
  return values.map((value, index) => {
    if (value === null) return "";
    const y = height(value, most);
    const isFirst = !index || values[index - 1] === null, isLast = index === values.length - 1 || values[index + 1] === null;
    return `${isFirst ? `M ${index} ${y} ` : ""}L ${index + 0.5} ${y}${isLast ? ` L ${index + 1} ${y}` : ""}`;
  }).join(" ");
}

// Stretches without a figure, between figures or at an end, as shaded columns.
function holes(values, begun) {
  if (values.every((value) => value === null)) return [];
  const found = [];
  for (let index = begun; index < values.length; index++) {
    if (values[index] !== null) continue;
    const from = index;
    while (index < values.length && values[index] === null) index++;
    if (from === values.length - 1) break; // the slot that runs: its first heartbeat is on its way
    found.push(vector("rect", { class: "hole", x: from, y: 0, width: index - from, height: HEIGHT }));
  }
  return found;
}
