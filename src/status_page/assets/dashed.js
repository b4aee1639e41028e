// Candles that are incomplete: a dashed outline, empty where the price rose and half filled where it fell. Narrow ones are a dashed line.
export const NARROW = 4; // pixels of a step: below, a candle has no body
export const BODY = 0.8; // of a step, as the library's own candles

// A primitive of Lightweight Charts. The library's candle of the same step has no colour.
export class Dashed {
  constructor(colour) {
    Object.assign(this, { colour, bars: new Map(), since: 0, step: 60 });
    this.view = { zOrder: () => "normal", renderer: () => ({ draw: (target) => target.useBitmapCoordinateSpace((scope) => this.draw(scope)) }) };
  }

  attached({ chart, series, requestUpdate }) {
    Object.assign(this, { scale: chart.timeScale(), series, requestUpdate });
  }

  updateAllViews() {}

  paneViews() {
    return [this.view];
  }

  show(bars, step, since) {
    Object.assign(this, { bars, step, since });
    this.requestUpdate();
  }

  draw({ context, horizontalPixelRatio: across, verticalPixelRatio: down }) {
    const range = this.scale.getVisibleLogicalRange();
    if (!range) return;
    const sides = { "--up": [], "--down": [] };
    for (let index = Math.floor(range.from); index <= Math.ceil(range.to); index++) {
      const row = this.bars.get(this.since + index * this.step);
      const middle = row && !row.isComplete ? this.scale.logicalToCoordinate(index) : null;
      if (middle !== null) sides[row.close < row.open ? "--down" : "--up"].push([middle, row]);
    }
    const half = this.scale.options().barSpacing < NARROW ? 0 : Math.floor(this.scale.options().barSpacing * BODY * across / 2);
    context.save();
    context.lineWidth = Math.max(1, Math.floor(across));
    context.setLineDash([3 * down, 2 * down]);
    for (const [name, candles] of Object.entries(sides)) this.outline(context, candles, this.colour(name), { half, across, down, isFilled: name === "--down" });
    context.restore();
  }

  outline(context, candles, ink, { half, across, down, isFilled }) {
    context.strokeStyle = ink;
    context.fillStyle = ink + "66";
    context.beginPath();
    for (const [middle, row] of candles) {
      const x = Math.round(middle * across) + 0.5;
      const [high, top, bottom, low] = [row.high, Math.max(row.open, row.close), Math.min(row.open, row.close), row.low]
        .map((price) => Math.round(this.series.priceToCoordinate(price) * down) + 0.5);
      if (half && isFilled) context.fillRect(x - half, top, 2 * half, bottom - top);
      if (half) context.rect(x - half, top, 2 * half, bottom - top);
      context.moveTo(x, half ? top : low);
      context.lineTo(x, high);
      if (half) {
        context.moveTo(x, bottom);
        context.lineTo(x, low);
      }
    }
    context.stroke();
  }
}
