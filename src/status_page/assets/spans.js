// What is missing in the chart: stretches of time, what they are called, and how they are shaded.
import { clock, length, several } from "./words.js";

const WHAT = { trades: ["trade", "trades"], depth: ["book update", "book updates"], klines: ["kline", "klines"] };
const CAUSES = {
  sequence: "the ids jump", disconnect: "disconnected", rotation: "the connection was replaced", mute: "the connection fell silent",
  missed_poll: "a request was not answered in time", restart: "the recorder was not running",
  spool_full: "the spool was full", unreadable_number: "a number could not be read",
  venue_has_no_data: "the venue has none", archive_has_no_data: "the archive has none",
  unusable_answer: "the venue's answer could not be used", venue_refused: "the venue refused",
};

// Spans in seconds, [from, to): `kind` is open, healed, book (book updates only), empty (nothing is there) or quiet (no trades).
export function missingSpans({ bars, gaps, since, until, step, before, after }) {
  const known = gaps.map((gap) => gapSpan(gap, step)).filter((span) => span.to > since && span.from < until);
  for (const span of known) if (span.kind === "open" && isFilled(span, bars, step)) span.kind = "healed";
  return [...known, ...emptyRuns(bars, since, until, step, before, after, known)];
}

// A gap of the server in words; `step`: seconds of its klines.
export function gapWords([channel, cause, from, to, first, last, isHealed, resynced], step) {
  const missing = channel === "klines" ? Math.round((to - from) / 1e6 / step) + 1 : first === null || last === null ? null : last - first + 1;
  const lasted = (to - from) / 1e6 + (channel === "klines" ? step : 0);
  return [
    `${missing === null ? `unknown number of ${WHAT[channel][1]}` : several(missing, ...WHAT[channel])} missing`,
    ...(lasted ? [length(lasted)] : []), CAUSES[cause] || cause.replaceAll("_", " "), ...(isHealed ? ["healed later"] : []),
    ...(channel === "depth" ? [resynced ? `resynced at ${clock(resynced).slice(clock(resynced).slice(0, 10) === clock(from).slice(0, 10) ? 11 : 0)}` : "not resynced yet"] : []),
  ].join(", ");
}

// Why a market has no candles of an interval; `loaded`: kind, interval of klines, rows; `warehouse`: what its stage shows.
export function nothingWords(symbol, interval, loaded, warehouse) {
  const rows = loaded.map(([kind, of, many]) => several(many, ...WHAT[kind]) + (of ? ` of ${of}` : ""));
  const known = rows.length ? `Loaded: ${rows.join(", ")}. The transformer makes candles of trades and of shorter klines` : "Nothing of this market is loaded";
  return `No candles of ${symbol} ${interval} yet. ${known}.${warehouse ? ` Warehouse: ${warehouse}.` : ""}`;
}

function gapSpan(gap, step) {
  const [channel, cause, from, to, , , isHealed] = gap;
  const end = to / 1e6 + (channel === "klines" ? step : 0);
  const kind = isHealed ? "healed" : cause.endsWith("_has_no_data") ? "empty" : channel === "depth" ? "book" : "open";
  return { from: from / 1e6, to: Math.max(end, from / 1e6 + 0.000001), kind, get words() { return gapWords(gap, step); } }; // of thousands, few are read
}

// Another recorder has what this one missed: every candle of the gap is there, and complete.
function isFilled(span, bars, step) {
  for (let time = Math.floor(span.from / step) * step; time < span.to; time += step) if (!bars.get(time)?.isComplete) return false;
  return true;
}

function emptyRuns(bars, since, until, step, before, after, known) {
  const runs = [];
  let began = null;
  for (let time = since; time <= until; time += step) {
    const isEmpty = time < until && !bars.has(time);
    if (isEmpty && began === null) began = time;
    if (isEmpty || began === null) continue;
    const [left, right] = [bars.get(began - step), bars.get(time)];
    const isOutside = (began === since && !before) || (time === until && !after); // before the first candle, or after the last
    const isQuiet = left && right && [left, right].every((row) => row.isComplete && row.source === "trades");
    const isExplained = known.some((span) => span.kind !== "book" && span.from <= began + step && span.to >= time - step);
    if (!isOutside && !isExplained) {
      const lasted = length(time - began);
      runs.push(isQuiet ? { from: began, to: time, kind: "quiet", words: `no trades for ${lasted}: their ids continue` } : { from: began, to: time, kind: "empty", isUnexplained: true, words: `no candles for ${lasted}: nothing was recorded` });
    }
    began = null;
  }
  return runs;
}

// Columns that touch are one: thousands of gaps in a few candles are shaded once, not one over the other.
function united(columns) {
  const found = [];
  for (const { left, right } of columns.sort((one, other) => one.left - other.left)) {
    const last = found.at(-1);
    if (last && left <= last.right) last.right = Math.max(last.right, right);
    else found.push({ left, right });
  }
  return found;
}

// A primitive of Lightweight Charts: draws the spans behind the candles, hatched for eyes that do not tell the colours apart.
export class Spans {
  constructor(colour) {
    this.list = [];
    this.colour = colour;
    this.view = { zOrder: () => "bottom", renderer: () => ({ draw: (target) => target.useBitmapCoordinateSpace((scope) => this.draw(scope)) }) };
  }

  attached({ chart, requestUpdate }) {
    this.scale = chart.timeScale();
    this.requestUpdate = requestUpdate;
  }

  updateAllViews() {}

  paneViews() {
    return [this.view];
  }

  show(list, step, since, until) {
    Object.assign(this, { list, step, since, until });
    this.requestUpdate();
  }

  at(time) {
    return this.list.filter((span) => span.from < time + this.step && span.to > time);
  }

  draw({ context, bitmapSize, horizontalPixelRatio: ratio }) {
    const half = this.scale.options().barSpacing / 2;
    const snap = (time) => Math.max(this.since, Math.min(this.until - this.step, Math.floor(time / this.step) * this.step));
    const columns = { healed: [], empty: [], book: [], open: [] }; // the last one is drawn over the others
    for (const span of this.list) {
      if (span.kind === "quiet") continue;
      const first = this.scale.timeToCoordinate(snap(span.from));
      const last = this.scale.timeToCoordinate(snap(span.to - 0.0000001));
      if (first === null || last === null) continue;
      const left = Math.round((first - half) * ratio), right = Math.max(Math.round((last + half) * ratio), left + Math.ceil(2 * ratio));
      if (right < 0 || left > bitmapSize.width) continue;
      columns[span.kind].push({ left: Math.max(left, 0), right: Math.min(right, bitmapSize.width) });
    }
    for (const [kind, found] of Object.entries(columns)) {
      const bottom = kind === "book" ? 8 * ratio : bitmapSize.height; // updates of the book: a strip at the top
      for (const { left, right } of united(found)) this.shade(context, { left, right, top: 0, bottom }, kind, ratio);
    }
  }

  shade(context, { left, right, top, bottom }, kind, ratio) {
    const ink = this.colour(kind === "empty" ? "--quiet" : kind === "healed" ? "--most" : "--down");
    context.save();
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.clip();
    context.fillStyle = ink + (kind === "healed" ? "22" : "2e");
    context.fillRect(left, top, right - left, bottom - top);
    context.strokeStyle = ink + "66";
    context.lineWidth = ratio;
    context.beginPath();
    const apart = (kind === "empty" ? 14 : 8) * ratio, height = bottom - top;
    for (let x = Math.floor((left - height) / apart) * apart; kind !== "healed" && x < right; x += apart) {
      context.moveTo(x, bottom);
      context.lineTo(x + height, top);
    }
    context.stroke();
    context.restore();
  }
}
