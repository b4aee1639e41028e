// The candle chart on a linear time axis: a step without a candle stays empty, and what is missing is shaded. A rising candle is
// hollow, a falling one filled, an incomplete one dashed: colour repeats it.
// Drawn by TradingView Lightweight Charts, in the page's colours. Times are seconds since 1970 unless a name says otherwise.
import { Dashed } from "./dashed.js";
import { Spans, missingSpans } from "./spans.js";
import { Volumes } from "./volume.js";

const MOST_BARS = 20000; // beyond that, steps at the far end are dropped; paging back loads them again
const NONE = "transparent";
const palette = new Map(); // of the theme: a computed style costs more than a candle
const colour = (name) => {
  if (!palette.has(name)) palette.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return palette.get(name);
};
const rowOf = ([opened, open, high, low, close, volume, isComplete, source]) => ({ time: opened / 1e6, open, high, low, close, volume, isComplete, source });

export function candleChart(element) {
  const library = window.LightweightCharts;
  const chart = library.createChart(element, { autoSize: true, timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 3, minBarSpacing: 0.2 } });
  const candles = chart.addSeries(library.CandlestickSeries, {});
  const volume = chart.addCustomSeries(new Volumes(colour), { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
  const other = chart.addSeries(library.LineSeries, { lineWidth: 1, lastValueVisible: false, priceLineVisible: false });
  const spans = new Spans(colour);
  const dashed = new Dashed(colour);
  const scale = chart.timeScale();
  candles.attachPrimitive(spans);
  candles.attachPrimitive(dashed);
  volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.22 } });

  let step = 60;
  let precision = 0; // digits of the axis
  let since = 0;
  let until = 0;
  let before = 0;
  let after = 0;
  let gaps = [];
  const bars = new Map();
  const others = new Map();

  const bar = (row) => {
    const shown = { time: row.time, open: row.open, high: row.high, low: row.low, close: row.close };
    return row.isComplete ? shown : { ...shown, color: NONE, borderColor: NONE, wickColor: NONE }; // drawn by `dashed`
  };
  const column = (row) => ({ time: row.time, value: row.volume, isFalling: row.close < row.open, isComplete: Boolean(row.isComplete) });

  function times() {
    return Array.from({ length: Math.round((until - since) / step) }, (_, index) => since + index * step);
  }

  function draw() {
    const all = times();
    candles.setData(all.map((time) => bars.has(time) ? bar(bars.get(time)) : { time }));
    volume.setData(all.map((time) => bars.has(time) ? column(bars.get(time)) : { time }));
    drawOther(all);
    drawSpans();
  }

  function drawSpans() {
    spans.show(missingSpans({ bars, gaps, since, until, step, before, after }), step, since, until);
    dashed.show(bars, step, since);
  }

  function paint() {
    palette.clear();
    chart.applyOptions({
      layout: { background: { color: colour("--card") }, textColor: colour("--quiet"), attributionLogo: false },
      grid: { vertLines: { color: colour("--line") + "55" }, horzLines: { color: colour("--line") + "55" } },
      rightPriceScale: { borderColor: colour("--line") },
      timeScale: { borderColor: colour("--line") },
    });
    const up = colour("--up"), down = colour("--down");
    candles.applyOptions({ upColor: NONE, downColor: down, wickUpColor: up, wickDownColor: down, borderUpColor: up, borderDownColor: down, priceLineColor: colour("--quiet") });
    other.applyOptions({ color: colour("--link") });
    draw();
  }

  function clear(seconds) {
    [step, since, until, before, after, gaps] = [seconds, 0, 0, 0, 0, []];
    bars.clear();
    others.clear();
    chart.applyOptions({ timeScale: { secondsVisible: seconds < 60 } });
    draw();
  }

  // Adds a window of the server: the first one, or one that touches what is shown.
  function add(window) {
    const [first, end] = [window.since / 1e6, window.until / 1e6];
    const isFirst = !until;
    const isEarlier = !isFirst && first < since;
    const place = scale.getVisibleLogicalRange();
    for (const row of window.klines.map(rowOf)) bars.set(row.time, row);
    gaps = [...new Map([...gaps, ...window.gaps].map((gap) => [JSON.stringify(gap.slice(0, 6)), gap])).values()];
    if (isFirst || first <= since || window.before / 1e6 < since) before = window.before / 1e6;
    if (isFirst || end > until) { after = window.after / 1e6; }
    const left = since;
    since = isFirst ? first : Math.min(since, first);
    until = Math.max(until, end);
    const cut = trim(isEarlier);
    setPrecision();
    draw();
    if (!isFirst && place) {
      const moved = isEarlier ? Math.round((left - since) / step) : -cut;
      scale.setVisibleLogicalRange({ from: place.from + moved, to: place.to + moved });
    }
  }

  function trim(isEarlier) {
    const surplus = Math.round((until - since) / step) - MOST_BARS;
    if (surplus <= 0) return 0;
    if (isEarlier) { until -= surplus * step; after = until; } else { before = since; since += surplus * step; }
    for (const known of [bars, others]) for (const time of known.keys()) if (time < since || time >= until) known.delete(time);
    return isEarlier ? 0 : surplus;
  }

  function setPrecision() {
    let smallest = Infinity;
    for (const row of bars.values()) smallest = Math.min(smallest, row.low);
    const needed = Math.min(10, Math.max(2, 4 - Math.floor(Math.log10(Number.isFinite(smallest) && smallest > 0 ? smallest : 1))));
    if (needed === precision) return;
    precision = needed;
    const priceFormat = { type: "price", precision, minMove: 10 ** -precision };
    candles.applyOptions({ priceFormat });
    other.applyOptions({ priceFormat });
  }

  // The youngest candles, as they come in; steps between them that stayed empty are filled up.
  function update(rows) {
    if (!until) return;
    for (const row of rows.map(rowOf)) {
      if (row.time < since) continue;
      const isNew = row.time >= until;
      bars.set(row.time, row);
      for (; until <= row.time; until += step) {
        if (until < row.time) [candles, volume, other].forEach((one) => one.update({ time: until }));
      }
      const isLast = row.time === until - step;
      candles.update(bar(row), !isLast && !isNew);
      volume.update(column(row), !isLast && !isNew);
      if (isNew) other.update(others.has(row.time) ? { time: row.time, value: others.get(row.time) } : { time: row.time });
    }
    drawSpans();
  }

  // Closing prices of the same market at another venue, as a line.
  function addOther(rows) {
    for (const row of rows.map(rowOf)) others.set(row.time, row.close);
    drawOther(times());
  }

  // The library draws a line over a hole: there, it has no colour.
  function drawOther(all) {
    other.setData(all.map((time) => {
      if (!others.has(time)) return { time };
      return { time, value: others.get(time), ...(others.has(time + step) || time + step >= until ? {} : { color: NONE }) };
    }));
  }

  function clearOther() {
    others.clear();
    other.setData([]);
  }

  const visible = () => {
    const range = scale.getVisibleLogicalRange();
    if (!range || !until) return null;
    return { from: since + Math.max(0, Math.floor(range.from)) * step, to: Math.min(until, since + Math.ceil(range.to) * step) };
  };
  const look = (from, to) => scale.setVisibleLogicalRange({ from: (from - since) / step, to: (to - since) / step });

  paint();
  return {
    clear, add, update, addOther, clearOther, paint, visible, look,
    shift: (screens) => {
      const range = scale.getVisibleLogicalRange();
      if (!range) return;
      const most = (until - since) / step + 3 - range.to;
      const wanted = Math.round((range.to - range.from) * screens);
      const moved = screens > 0 ? Math.min(wanted, Math.max(0, most)) : Math.max(wanted, -Math.max(0, range.from) - 10);
      scale.setVisibleLogicalRange({ from: range.from + moved, to: range.to + moved });
    },
    at: (time) => bars.get(time),
    otherAt: (time) => others.get(time),
    spansAt: (time) => spans.at(time),
    spans: () => spans.list,
    last: () => { let youngest = null; for (const row of bars.values()) if (!youngest || row.time > youngest.time) youngest = row; return youngest; },
    first: () => { let oldest = Infinity; for (const time of bars.keys()) oldest = Math.min(oldest, time); return oldest; },
    bounds: () => ({ since, until, before, after, step, candles: bars.size }),
    onHover: (hear) => { chart.subscribeCrosshairMove((event) => hear(event.time ?? null)); chart.subscribeClick((event) => hear(event.time ?? null)); },
    onMove: (hear) => scale.subscribeVisibleLogicalRangeChange((range) => { if (range && until) hear(range.from, (until - since) / step - range.to); }),
  };
}
