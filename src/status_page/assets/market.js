// The market that is looked at: what is chosen (it is in the address), its candles window by window, and its book.
import { watchBasis } from "./basis.js";
import { awaitBook, showBook } from "./book.js";
import { watchCalendar } from "./calendar.js";
import { candleChart } from "./candles.js";
import { make, offerFiles, place, say } from "./document.js";
import { nothingWords } from "./spans.js";
import { count, several } from "./words.js";

const INTERVALS = ["1s", "1m", "5m", "15m", "30m", "1h", "4h", "1d"];
const WINDOW_STEPS = 1000;
const NEAR = 60; // steps: so close to the end of what is shown, the next window is asked for
const RETRY_MS = 5000;
const OTHER_MS = 3000;
const REFRESH_MS = 15000;
const MOST_SPANS_IN_WORDS = 3;
const WINDOWS_OF_NOTHING = 3; // a longer hole is skipped by a button
const LENGTHS = { s: 1, m: 60, h: 3600, d: 86400 };
const stepOf = (interval) => parseInt(interval, 10) * LENGTHS[interval.slice(-1)];
const short = (time) => new Date(time * 1000).toISOString().slice(0, 19).replace("T", " ");
const figure = (value) => String(Number(value.toPrecision(10)));
const nameOf = ([venue, symbol]) => `${venue} ${symbol}`;
// Pairs as in gold_cross_venue_1m: one market at two venues, of one kind and delivery, or a contract beside spot.
const isComparable = ([venue, , market, kind, delivery], other) =>
  venue !== other[0] && market && market === other[2] && (kind === "spot" || other[3] === "spot" || (kind === other[3] && delivery === other[4]));

const chart = candleChart(place("candles"));
let known = []; // of each market: venue, symbol, its name across venues, kind, delivery
let choice = null; // { venue, symbol, interval }
let listener = () => {};
let loading = null;
let isLive = false; // the window ends now: the youngest candles go on from it
let timer = 0;
let nextOther = 0;
let nextRefresh = 0;
let warehouse = ""; // what its stage shows
let wantedOther = ""; // of the address, until it is known which markets there are

function shownState(words, isBusy = false) {
  place("candles").setAttribute("aria-busy", String(isBusy));
  place("candles-state").hidden = !words;
  say(place("candles-state"), words);
}

async function ask(wanted, until, venue = wanted.venue, symbol = wanted.symbol) {
  const query = new URLSearchParams({ venue, symbol, interval: wanted.interval, ...(until ? { until: String(Math.round(until * 1e6)) } : {}) });
  const answer = await fetch(`/api/klines?${query}`);
  if (!answer.ok) throw new Error(answer.status === 503 ? "the warehouse does not answer" : `the page's server answered ${answer.status}`);
  return answer.json();
}

// One request at a time. An answer for a choice that is no longer the choice is dropped.
async function load(until, words) {
  if (loading || !choice) return false;
  const mine = loading = choice;
  clearTimeout(timer);
  shownState(words, true);
  try {
    const window = await ask(mine, until);
    if (choice !== mine) return false;
    chart.add(window);
    if (!until) isLive = window.until / 1e6 + 2 * stepOf(mine.interval) >= Date.now() / 1000;
    showNothing(mine, window);
    await loadOther(mine, until);
    return choice === mine;
  } catch (error) {
    if (choice !== mine) return false;
    shownState(`cannot load the candles: ${error.message}; trying again`);
    timer = setTimeout(() => { if (choice === mine) load(until, "loading …").then(showEnds); }, RETRY_MS);
    return false;
  } finally {
    if (loading === mine) loading = null;
    showEnds();
    showWords();
  }
}

function showNothing({ symbol, interval }, { before, after, loaded }) {
  const words = before || after ? `No candles of ${symbol} ${interval} in this time.` : nothingWords(symbol, interval, loaded, warehouse);
  shownState(chart.bounds().candles ? "" : words);
}

// History that was loaded under an open page: where candles are missing without a known cause, the newest window is read again.
async function refresh() {
  const { since, until } = chart.bounds();
  const mine = choice;
  const isWhole = chart.first() <= since && !chart.spans().some((span) => span.isUnexplained);
  if (!isLive || !until || loading || isWhole || Date.now() < nextRefresh) return;
  nextRefresh = Date.now() + REFRESH_MS;
  const window = await ask(mine).catch(() => null); // the state names what is unavailable
  if (!window || choice !== mine || loading || !isLive) return;
  chart.add(window);
  showNothing(mine, window);
  showEnds();
  showWords();
}

async function loadOther(mine, until) {
  const [venue, symbol] = place("compare").value.split(" ");
  if (!symbol) return;
  const window = await ask(mine, until, venue, symbol);
  if (choice === mine && place("compare").value === `${venue} ${symbol}`) chart.addOther(window.klines);
}

// How far the candles go, and the way over a hole that is too long to scroll through.
function showEnds() {
  const { since, until, before, after, step } = chart.bounds();
  const isFar = before && since - before > WINDOWS_OF_NOTHING * WINDOW_STEPS * step;
  place("jump").hidden = !isFar;
  if (isFar) say(place("jump"), `No candles from ${short(before + step)} to ${short(since)}. Show those before`);
  const view = chart.visible();
  place("earlier").disabled = !view || (!before && view.from <= chart.first());
  place("later").disabled = !view || (!after && view.to >= until);
  place("newest").disabled = !view || (isLive && view.to >= until);
}

async function onMove(left, right) {
  const { since, until, before, after, step } = chart.bounds();
  if (left < NEAR && before && since - before <= WINDOWS_OF_NOTHING * WINDOW_STEPS * step) await load(since, "loading earlier candles …");
  else if (right < NEAR && after && !isLive) {
    await load(Math.min(until + WINDOW_STEPS * step, Math.ceil(Date.now() / 1000 / step) * step), "loading later candles …");
    isLive = isLive || chart.bounds().until + 2 * step >= Date.now() / 1000;
  }
  showEnds();
  writeAddress();
}

function readAddress() {
  const asked = new URLSearchParams(location.search);
  const time = (name) => { const at = Date.parse(asked.get(name) ?? ""); return Number.isNaN(at) ? 0 : at / 1000; };
  return { market: asked.has("venue") && asked.has("symbol") ? `${asked.get("venue")} ${asked.get("symbol")}` : "", interval: asked.get("interval"), compare: asked.get("compare") ?? "", from: time("from"), to: time("to") };
}

let written = 0;
function writeAddress() {
  clearTimeout(written);
  written = setTimeout(() => {
    const view = chart.visible();
    if (!choice || !view) return;
    const range = isLive && view.to >= chart.bounds().until ? {} : { from: short(view.from).replace(" ", "T") + "Z", to: short(view.to).replace(" ", "T") + "Z" };
    const other = place("compare").value || wantedOther;
    const compare = other ? { compare: other } : {};
    history.replaceState(null, "", `?${new URLSearchParams({ ...choice, ...compare, ...range })}`);
  }, 200);
}

// The old chart goes at once: it never stands under a new choice.
async function choose(from = 0, to = 0) {
  const [venue, symbol] = place("symbol").value.split(" ");
  if (!symbol) return;
  if (choice?.venue !== venue || choice.symbol !== symbol) awaitBook();
  const mine = choice = { venue, symbol, interval: place("interval").value };
  loading = null;
  isLive = false;
  localStorage.setItem("symbol", `${venue} ${symbol}`);
  localStorage.setItem("interval", mine.interval);
  const step = stepOf(mine.interval);
  chart.clear(step);
  say(place("price"), "–");
  say(place("candles-words"), "");
  offerCompare();
  const isThere = await load(to ? Math.min(Math.ceil(to / step) + NEAR, Math.ceil(Date.now() / 1000 / step)) * step : 0, "loading …");
  if (choice !== mine) return;
  listener(new URLSearchParams(mine)); // after the candles, so that nothing delays them
  watchCalendar(mine, showRange);
  watchBasis(mine);
  if (!isThere) return;
  const { until } = chart.bounds();
  if (to) chart.look(from || to - 90 * step, to);
  else chart.look(until - 90 * step, until + 3 * step);
  showEnds();
  writeAddress();
}

// A stretch of the calendar: in an interval that has at most 600 candles in it.
function showRange(from, to) {
  const fits = INTERVALS.filter((name) => (to - from) / stepOf(name) <= 600);
  if (!fits.includes(place("interval").value) || (to - from) / stepOf(place("interval").value) < 20) place("interval").value = fits.find((name) => name !== "1s") ?? "1d";
  choose(from, to);
  place("market").scrollIntoView({ block: "start" });
}

function offerCompare() {
  const select = place("compare");
  const before = select.value || wantedOther;
  const mine = known.find(([venue, symbol]) => venue === choice.venue && symbol === choice.symbol);
  const others = known.filter((other) => mine && isComparable(mine, other)).map(nameOf);
  select.replaceChildren(make("option", "nothing", { value: "" }), ...others.map((name) => make("option", name, { value: name })));
  select.value = others.includes(before) ? before : "";
  select.parentElement.hidden = !others.length;
  if (mine?.[2]) wantedOther = "";
}

async function compare() {
  chart.clearOther();
  const mine = choice;
  const { since, until, step } = chart.bounds();
  try {
    for (let end = until; end > since && place("compare").value && choice === mine; end -= WINDOW_STEPS * step) await loadOther(mine, end);
  } catch (error) {
    shownState(`cannot load the other venue: ${error.message}`);
  }
  showWords();
  writeAddress();
}

// The stream of events is about one market: the other one is asked for its youngest candles, again where it did not answer.
async function followOther() {
  const [venue, symbol] = place("compare").value.split(" ");
  if (!symbol || !isLive || Date.now() < nextOther) return;
  nextOther = Date.now() + OTHER_MS;
  const mine = choice;
  const answer = await fetch(`/api/market?${new URLSearchParams({ venue, symbol, interval: mine.interval })}`).catch(() => null);
  if (answer?.ok && choice === mine && place("compare").value === `${venue} ${symbol}`) chart.addOther((await answer.json()).klines);
}

function offer(markets, stage) {
  warehouse = stage;
  const said = JSON.stringify(markets);
  const select = place("symbol");
  if (said === select.dataset.said || !markets.length) {
    if (!markets.length && !choice) shownState(`No market can be queried yet. Warehouse: ${stage}.`);
    return;
  }
  select.dataset.said = said;
  known = markets;
  const asked = readAddress();
  const before = choice ? `${choice.venue} ${choice.symbol}` : localStorage.getItem("symbol");
  const options = markets.map(nameOf);
  select.replaceChildren(...options.map((name) => make("option", name, { value: name })));
  if (options.includes(before)) select.value = before;
  if (!choice || !options.includes(before)) {
    choose(choice ? 0 : asked.from, choice ? 0 : asked.to);
    return;
  }
  const other = place("compare").value;
  offerCompare();
  if (place("compare").value !== other) compare();
}

// The market of the address is loaded before it is known which others there are.
function begin() {
  const asked = readAddress();
  wantedOther = asked.compare;
  if (!asked.market) return;
  place("symbol").replaceChildren(make("option", asked.market, { value: asked.market }));
  choose(asked.from, asked.to);
}

function hear(news) {
  if (!choice || news.venue !== choice.venue || news.symbol !== choice.symbol || news.interval !== choice.interval) return;
  const { until, step } = chart.bounds();
  if (isLive && until) {
    const isFirst = !chart.bounds().candles && !loading; // then history may have come with it
    if (news.klines.length && (isFirst || news.klines[0][0] / 1e6 > until + 3 * step)) choose(); // or the machine slept
    else chart.update(news.klines);
    if (chart.bounds().candles) shownState("");
    showWords();
    refresh();
  } else if (!until && news.klines.length && !loading) choose();
  followOther();
  showBook(news.book);
  const last = news.klines.at(-1);
  if (last) say(place("price"), figure(last[4]));
}

function words(row, time) {
  const parts = row ? [["open", "high", "low", "close", "volume"].map((name) => `${name} ${figure(row[name])}`).join(", "),
    `from ${row.source}${row.isComplete ? "" : ", incomplete"}`] : ["no candle"];
  const other = chart.otherAt(time);
  if (row && other) parts.push(`${place("compare").value}: ${figure(other)}, ${((other / row.close - 1) * 1e4).toFixed(1)} bps`);
  return [short(time), ...parts, ...missing(chart.spansAt(time))].join(" · ");
}

// The longest few in words: a candle of a day may have hundreds.
function missing(spans) {
  const longest = spans.toSorted((one, other) => other.to - other.from - (one.to - one.from)).slice(0, MOST_SPANS_IN_WORDS);
  return [...longest.map((span) => span.words), ...(spans.length > longest.length ? [`and ${count(spans.length - longest.length)} more`] : [])];
}

function showWords() {
  const last = chart.last();
  const said = last && choice ? `${choice.symbol} ${choice.interval} · ${words(last, last.time)}` : "";
  say(place("candles-words"), said);
  const holes = chart.spans().filter((span) => span.kind === "open" || span.kind === "empty").length;
  place("candles").setAttribute("aria-label", `Candles. ${said}. ${several(holes, "stretch", "stretches")} missing`);
}

place("interval").replaceChildren(...INTERVALS.map((name) => make("option", name, { value: name })));
const wanted = readAddress().interval ?? localStorage.getItem("interval");
place("interval").value = INTERVALS.includes(wanted) ? wanted : "1m";
place("symbol").addEventListener("change", () => choose());
place("interval").addEventListener("change", () => choose());
place("compare").addEventListener("change", compare);
place("earlier").addEventListener("click", () => chart.shift(-0.8));
place("later").addEventListener("click", () => chart.shift(0.8));
place("newest").addEventListener("click", () => choose());
place("jump").addEventListener("click", () => {
  const { before, step } = chart.bounds();
  choose(before - 90 * step, before + 2 * step);
});
offerFiles("candles-files", "candles", () => {
  const { from = 0, to = 0 } = chart.visible() ?? {};
  return { ...choice, since: Math.round(from * 1e6), until: Math.round(to * 1e6) };
});
chart.onMove(onMove);
chart.onHover((time) => say(place("candles-hover"), time === null ? "" : words(chart.at(time), time)));

export const market = { begin, offer, hear, paint: () => chart.paint(), onChoice: (hear) => { listener = hear; } };
