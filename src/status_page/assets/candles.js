// The candle chart: TradingView Lightweight Charts in the page's colours.
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function candleChart(element) {
  const library = window.LightweightCharts;
  const chart = library.createChart(element, { autoSize: true, timeScale: { timeVisible: true, secondsVisible: true, rightOffset: 3 } });
  const candles = chart.addSeries(library.CandlestickSeries, {});
  const volume = chart.addSeries(library.HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
  volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.22 } });
  let shown = [];

  const bar = ([opened, open, high, low, close]) => ({ time: opened / 1e6, open, high, low, close });
  const column = ([opened, open, , , close, traded]) => ({ time: opened / 1e6, value: traded, color: colour(close < open ? "--down" : "--up") + "66" });

  function paint() {
    chart.applyOptions({
      layout: { background: { color: colour("--card") }, textColor: colour("--quiet"), attributionLogo: false },
      grid: { vertLines: { color: colour("--line") + "55" }, horzLines: { color: colour("--line") + "55" } },
      rightPriceScale: { borderColor: colour("--line") },
      timeScale: { borderColor: colour("--line") },
    });
    candles.applyOptions({ upColor: colour("--up"), downColor: colour("--down"), wickUpColor: colour("--up"), wickDownColor: colour("--down"), borderVisible: false });
    volume.setData(shown.map(column));
  }

  function show(rows) {
    shown = rows;
    const smallest = rows.length ? Math.min(...rows.map((row) => row[3])) : 1;
    const precision = Math.min(10, Math.max(2, 5 - Math.floor(Math.log10(smallest || 1)) - 1));
    candles.applyOptions({ priceFormat: { type: "price", precision, minMove: 10 ** -precision } });
    candles.setData(rows.map(bar));
    volume.setData(rows.map(column));
    chart.timeScale().setVisibleLogicalRange({ from: rows.length - 90, to: rows.length + 3 });
  }

  function update(rows) {
    if (!shown.length && rows.length) return show(rows);
    for (const row of rows) {
      const last = shown.at(-1);
      if (last && row[0] < last[0]) {
        const index = shown.findIndex((known) => known[0] === row[0]);
        if (index >= 0) { shown[index] = row; candles.update(bar(row), true); volume.update(column(row), true); }
        continue;
      }
      if (last && row[0] === last[0]) shown[shown.length - 1] = row; else shown.push(row);
      candles.update(bar(row));
      volume.update(column(row));
    }
    return undefined;
  }

  function last() {
    const row = shown.at(-1);
    return row && { opened: row[0], open: row[1], high: row[2], low: row[3], close: row[4], volume: row[5] };
  }

  paint();
  return { show, update, last, paint };
}
