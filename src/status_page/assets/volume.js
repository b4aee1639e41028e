// Volume bars, as the candles above them: hollow where the price rose, filled where it fell, dashed where the candle is incomplete.
import { BODY, NARROW } from "./dashed.js";

// A custom series of Lightweight Charts, and its renderer. A bar is { time, value, isFalling, isComplete }; without a value it is empty.
export class Volumes {
  constructor(colour) {
    Object.assign(this, { colour, bars: [], barSpacing: 0, visibleRange: null });
  }

  renderer() {
    return this;
  }

  update({ bars, barSpacing, visibleRange }) {
    Object.assign(this, { bars, barSpacing, visibleRange });
  }

  priceValueBuilder({ value }) {
    return [0, value];
  }

  isWhitespace({ value }) {
    return value === undefined;
  }

  defaultOptions() {
    return window.LightweightCharts.customSeriesDefaultOptions;
  }

  draw(target, toY) {
    if (this.visibleRange) target.useBitmapCoordinateSpace((scope) => this.drawBars(scope, toY));
  }

  drawBars({ context, horizontalPixelRatio: across, verticalPixelRatio: down }, toY) {
    const half = this.barSpacing < NARROW ? 0 : Math.floor(this.barSpacing * BODY * across / 2);
    const ground = Math.round(toY(0) * down) - 0.5;
    context.save();
    context.lineWidth = Math.max(1, Math.floor(across));
    for (const isFalling of [false, true]) {
      const ink = this.colour(isFalling ? "--down" : "--up");
      context.fillStyle = ink + "66";
      context.strokeStyle = ink + "bb";
      for (const isComplete of [true, false]) {
        context.setLineDash(isComplete ? [] : [3 * down, 2 * down]);
        context.beginPath();
        for (const { x, originalData: bar } of this.bars.slice(this.visibleRange.from, this.visibleRange.to)) {
          if (bar.isFalling !== isFalling || bar.isComplete !== isComplete) continue;
          const [middle, top] = [Math.round(x * across) + 0.5, Math.round(toY(bar.value) * down) + 0.5];
          if (!half) {
            context.moveTo(middle, ground);
            context.lineTo(middle, top);
            continue;
          }
          if (isFalling) context.fillRect(middle - half, top, 2 * half, ground - top);
          context.rect(middle - half, top, 2 * half, ground - top);
        }
        context.stroke();
      }
    }
    context.restore();
  }
}
