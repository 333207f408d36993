// The page speaks English, so numbers and words follow it; clock times and
// dates follow the reader's own settings.
const words = 'en';

const whole = new Intl.NumberFormat(words);
const rules = new Intl.PluralRules(words);
const ago = new Intl.RelativeTimeFormat(words, { numeric: 'auto', style: 'long' });
const clockTime = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte', 'petabyte'] as const;

export function count(n: number): string {
  return whole.format(n);
}

// plural writes "1 file", "2 files".
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${rules.select(n) === 'one' ? one : many}`;
}

export function bytes(n: number): string {
  let value = Math.max(0, n);
  let unit = 0;
  // 999.5 would be written as 1,000.
  while (value >= (unit === 0 ? 1000 : 999.5) && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return new Intl.NumberFormat(words, {
    style: 'unit',
    unit: units[unit],
    unitDisplay: unit === 0 ? 'long' : 'short',
    maximumFractionDigits: digits,
  }).format(value);
}

// duration of a number of milliseconds, in the precision people care about.
export function millis(ms: number): string {
  if (ms < 10) return `${(Math.round(ms * 10) / 10).toLocaleString(words)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toLocaleString(words, { maximumFractionDigits: 1 })} s`;
}

// span of a number of seconds, as long as people care: "40 s", "2 min", "3 h 20 min".
export function span(seconds: number): string {
  if (!Number.isFinite(seconds)) return '';
  if (seconds < 1.5) return '1 s';
  if (seconds < 10) return `${Math.round(seconds)} s`;
  if (seconds < 57.5) return `${Math.round(seconds / 5) * 5} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return plural(Math.round(hours / 24), 'day');
}

const steps: readonly [number, Intl.RelativeTimeFormatUnit][] = [
  [60, 'second'],
  [60, 'minute'],
  [24, 'hour'],
  [7, 'day'],
  [4.35, 'week'],
  [12, 'month'],
  [Infinity, 'year'],
];

// relative writes "3 minutes ago" or "in 2 days"; a zero or broken time is empty.
export function relative(time: string | null | undefined, now: number): string {
  const at = parse(time);
  if (at === null) return '';
  let value = (at - now) / 1000;
  if (Math.abs(value) < 10) return 'just now';
  for (const [size, unit] of steps) {
    if (Math.abs(value) < size) return ago.format(Math.round(value), unit);
    value /= size;
  }
  return '';
}

export function date(time: string | null | undefined): string {
  const at = parse(time);
  return at === null ? '' : day.format(at);
}

export function exact(time: string | null | undefined): string {
  const at = parse(time);
  return at === null ? '' : moment.format(at);
}

export function clock(time: string | null | undefined): string {
  const at = parse(time);
  return at === null ? '' : clockTime.format(at);
}

// Go writes the zero time as year 1: nothing happened yet.
function parse(time: string | null | undefined): number | null {
  if (!time) return null;
  const at = Date.parse(time);
  return Number.isNaN(at) || at <= 0 ? null : at;
}
