// PURE. What counts, times and sizes are called. Instants are microseconds since 1970.
const NUMBER = new Intl.NumberFormat("en");
export const count = (value) => NUMBER.format(Number(value));
export const several = (value, one, many) => `${count(value)} ${Number(value) === 1 ? one : many}`;
export const clock = (us) => new Date(us / 1000).toISOString().slice(0, 19).replace("T", " ");
export const size = (bytes) => bytes < 1e6 ? `${count(Math.round(bytes / 1e3))} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;

export function length(seconds) {
  if (seconds < 60) return `${Number(seconds.toFixed(seconds < 10 ? 1 : 0))} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Number((seconds / 3600).toFixed(1))} h` : several(Math.round(seconds / 86400), "day", "days");
}
