// The calendar of one market: how much of every hour, day or month is there, and which gaps are in it.
import { make, offerFiles, place, remedy, say } from "./document.js";
import { gapWords } from "./spans.js";
import { clock, count, several } from "./words.js";

const HOUR = 3.6e9, DAY = 24 * HOUR; // microseconds
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const PARTS = { // seconds that are there, and gaps, of a cell: complete, traded, klines, verified, gaps of trades, book and klines
  candles: ([complete, , , , trades, , klines]) => [complete * 60, trades + klines],
  trades: ([, traded, , , trades]) => [traded * 60, trades],
  klines: ([, , klines, , , , gaps]) => [klines * 60, gaps],
  book: ([, , , verified, , gaps]) => [verified, gaps],
};
const NOTHING = [0, 0, 0, 0, 0, 0, 0, 0];
const date = (us) => new Date(us / 1000);

// Of a unit: the row and the column of an instant, the head of the columns, and the name of a row.
const UNITS = {
  hour: {
    row: (us) => Math.floor(us / DAY), column: (us) => Math.floor(us / HOUR) % 24, columns: Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0")),
    name: (us) => `${WEEKDAYS[date(us).getUTCDay()]} ${clock(us).slice(5, 10)}`, end: (us) => us + HOUR,
  },
  day: {
    row: (us) => date(us).getUTCFullYear() * 12 + date(us).getUTCMonth(), column: (us) => date(us).getUTCDate() - 1, columns: Array.from({ length: 31 }, (_, day) => String(day + 1)),
    name: (us) => clock(us).slice(0, 7), end: (us) => us + DAY,
  },
  month: {
    row: (us) => date(us).getUTCFullYear(), column: (us) => date(us).getUTCMonth(), columns: MONTHS,
    name: (us) => clock(us).slice(0, 4), end: (us) => Date.UTC(date(us).getUTCFullYear(), date(us).getUTCMonth() + 1, 1) * 1000,
  },
};

let market = null;
let answer = null;
let shownFor = "";
let look = () => {};

export function watchCalendar(chosen, show) {
  look = show;
  if (market && market.venue === chosen.venue && market.symbol === chosen.symbol) return undefined;
  market = chosen;
  place("gaps").replaceChildren();
  say(place("gaps-of"), "Choose a cell to see its gaps, and its candles in the chart.");
  return load();
}

async function load() {
  const wanted = { venue: market.venue, symbol: market.symbol, unit: place("unit").value };
  const asked = shownFor = JSON.stringify(wanted);
  say(place("calendar-title"), `Coverage of ${wanted.venue} ${wanted.symbol}`);
  place("calendar").setAttribute("aria-busy", "true");
  try {
    const got = await fetch(`/api/coverage?${new URLSearchParams(wanted)}`);
    if (!got.ok) throw new Error(`the page's server answered ${got.status}`);
    const cells = await got.json();
    if (shownFor !== asked) return;
    answer = { unit: wanted.unit, ...cells };
    show();
  } catch (error) {
    if (shownFor === asked) place("calendar").replaceChildren(make("caption", `cannot load the coverage: ${error.message}`));
  } finally {
    if (shownFor === asked) place("calendar").removeAttribute("aria-busy");
  }
}

function show() {
  const unit = UNITS[answer.unit];
  const part = PARTS[place("part").value];
  const known = new Map(answer.cells.map(([opened, ...figures]) => [opened, figures]));
  const rows = new Map();
  for (let opened = answer.cells.length ? answer.cells[0][0] : answer.until; opened < answer.until; opened = unit.end(opened)) {
    const key = unit.row(opened);
    if (!rows.has(key)) rows.set(key, { name: unit.name(opened), cells: new Array(unit.columns.length).fill(null) });
    const [seconds, gaps] = part(known.get(opened) ?? NOTHING);
    const passed = Math.max(60, Math.floor((Math.min(unit.end(opened), answer.until) - opened) / 6e7) * 60);
    rows.get(key).cells[unit.column(opened)] = { opened, end: unit.end(opened), share: Math.min(1, seconds / passed), gaps, healed: (known.get(opened) ?? NOTHING).at(-1) };
  }
  const head = make("tr");
  head.append(make("td"), ...unit.columns.map((name) => make("th", name, { scope: "col" })));
  const body = [...rows].sort(([one], [other]) => other - one).map(([, row]) => {
    const line = make("tr");
    line.append(make("th", row.name, { scope: "row" }), ...row.cells.map((cell) => {
      const data = make("td");
      if (cell) data.append(button(cell));
      return data;
    }));
    return line;
  });
  const table = place("calendar");
  table.replaceChildren(make("caption", rows.size ? "Newest first. Choose a cell to see its gaps." : "Nothing is recorded in this time.", { class: rows.size ? "hidden" : "" }), make("thead"), make("tbody"));
  table.tHead.append(head);
  table.tBodies[0].append(...body);
}

function button(cell) {
  const grade = cell.share > 0.97 ? "full" : cell.share >= 0.5 ? "most" : cell.share > 0 ? "some" : "none";
  const words = `${clock(cell.opened).slice(0, 16)}: ${percent(cell.share)} there, ${several(cell.gaps, "gap", "gaps")}${cell.healed ? `, ${count(cell.healed)} healed` : ""}`;
  const node = make("button", cell.gaps ? "●" : "", { type: "button", class: "cell", "data-share": grade, title: words, "aria-label": words });
  node.addEventListener("click", () => open(cell));
  return node;
}

const percent = (share) => share === 1 ? "all" : share > 0.999 ? "over 99.9 %" : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

async function open(cell) {
  look(cell.opened / 1e6, Math.min(cell.end, answer.until) / 1e6);
  const query = new URLSearchParams({ venue: market.venue, symbol: market.symbol, interval: "1m", since: cell.opened, until: Math.min(cell.end, answer.until) });
  say(place("gaps-of"), `Gaps from ${clock(cell.opened).slice(0, 16)} to ${clock(cell.end).slice(0, 16)}: loading …`);
  const asked = market;
  try {
    const got = await fetch(`/api/gaps?${query}`);
    if (!got.ok) throw new Error(`the page's server answered ${got.status}`);
    const gaps = await got.json();
    if (market !== asked) return;
    say(place("gaps-of"), `Gaps from ${clock(cell.opened).slice(0, 16)} to ${clock(cell.end).slice(0, 16)}: ${gaps.length ? count(gaps.length) : "none"}`);
    place("gaps").replaceChildren(...gaps.slice(0, 200).map((gap) => {
      const item = make("li");
      const more = make("details");
      more.append(make("summary", `${clock(gap[2])} · ${gapWords(gap, 60)}`), make("p", gap[4] === null ? "no ids are known" : `ids ${count(gap[4])} to ${count(gap[5])}`, { class: "quiet" }));
      const [words, command] = gap.slice(8);
      if (words) more.append(remedy(words, command));
      item.append(more);
      return item;
    }), ...(gaps.length > 200 ? [make("li", `and ${count(gaps.length - 200)} more: choose a shorter time`)] : []));
  } catch (error) {
    say(place("gaps-of"), `cannot load the gaps: ${error.message}`);
  }
}

offerFiles("calendar-files", "coverage", () => ({ venue: market?.venue ?? "", symbol: market?.symbol ?? "", unit: place("unit").value }));
place("unit").addEventListener("change", () => { if (market) load(); });
place("part").addEventListener("change", () => { if (answer) show(); });
