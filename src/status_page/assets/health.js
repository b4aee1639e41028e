// Health of the last 24 hours: small charts of five minutes each. Where nobody reported a figure, its line has a hole.
import { make, offerFiles, place, say, vector } from "./document.js";
import { clock, count, size } from "./words.js";

const REFRESH_MS = 60000;
const HEIGHT = 60;
const round = (value) => Number(value.toPrecision(3)).toLocaleString("en");
const time = (ms) => ms < 1000 ? `${round(ms)} ms` : `${round(ms / 1000)} s`;
const percent = (share) => `${round(share * 100)} %`;
const FIGURES = [
  ["Messages per second", round, [["", "messages_per_second"]]],
  ["Rows per second", round, [["", "rows_per_second"]]],
  ["Lake, per day at this rate", size, [["", "lake_bytes_per_day"]]],
  ["From event to receipt", time, [["p50", "receipt_p50_ms"], ["p99", "receipt_p99_ms"]]],
  ["From receipt to queryable", time, [["p50", "load_p50_ms"], ["p99", "load_p99_ms"]]],
  ["Queues, since this page started", count, [["waiting", "waiting"], ["dead", "dead"]]],
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
  const names = lines.length > 1 ? ` · ${lines[0][0]} —, ${lines[1][0]} - -` : "";
  const axis = make("p", "", { class: "quiet axis", "aria-hidden": "true" });
  axis.append(make("span"), make("span"));
  figure.append(make("h3", title + names), chart, axis, make("figcaption", "", { class: "quiet" }));
  return figure;
}

function show({ columns, slots, since, until }) {
  const isThere = slots.some((slot) => slot.slice(1, 12).some((value) => value !== null));
  say(place("health-state"), isThere ? "" : "nothing was recorded in this time");
  FIGURES.forEach(([title, write, lines], index) => {
    const chart = place(`figure-${index}`);
    const series = lines.map(([, name]) => { const at = columns.indexOf(name); return slots.map((slot) => slot[at]); });
    const words = summary(slots, series, lines, write);
    chart.setAttribute("viewBox", `0 0 ${slots.length} ${HEIGHT}`);
    chart.setAttribute("aria-label", `${title}: ${words}`);
    const most = Math.max(...series.flat().map((value) => value ?? 0)) || 1;
    chart.replaceChildren(...holes(series[0]), ...series.map((values, line) => vector("path", { class: line ? "line second" : "line", d: path(values, most) })));
    const [left, right] = chart.nextElementSibling.children;
    say(left, clock(since).slice(11, 16));
    say(right, clock(until).slice(11, 16));
    const caption = chart.parentElement.lastElementChild;
    say(caption, words);
    const read = (event) => {
      const box = chart.getBoundingClientRect();
      const slot = Math.max(0, Math.min(slots.length - 1, Math.floor((event.clientX - box.left) / box.width * slots.length)));
      say(caption, `${clock(slots[slot][0]).slice(0, 16)} · ${values(series, lines, slot, write)}`);
    };
    [chart.onpointermove, chart.onpointerdown, chart.onpointerleave] = [read, read, () => say(caption, words)];
  });
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

function path(values, most) {
  const y = (value) => (HEIGHT - 2 - (value / most) * (HEIGHT - 6)).toFixed(1);
  return values.map((value, index) => value === null ? "" : index && values[index - 1] !== null ? `L ${index + 0.5} ${y(value)}` : `M ${index} ${y(value)} L ${index + 0.5} ${y(value)}`).join(" ");
}

// Stretches without a figure, between figures or at an end, as shaded columns.
function holes(values) {
  if (values.every((value) => value === null)) return [];
  const found = [];
  for (let index = 0; index < values.length; index++) {
    if (values[index] !== null) continue;
    const from = index;
    while (index < values.length && values[index] === null) index++;
    if (from === values.length - 1) break; // the slot that runs: its first heartbeat is on its way
    found.push(vector("rect", { class: "hole", x: from, y: 0, width: index - from, height: HEIGHT }));
  }
  return found;
}
