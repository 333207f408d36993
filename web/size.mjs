// Fails the build when the page grows beyond what loads at once everywhere.
// Sizes are gzip at level 9, in bytes.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const limits = { first: 60_000, css: 16_000, lazy: 40_000, all: 240_000 };
const dist = fileURLToPath(new URL('dist', import.meta.url));
const html = readFileSync(join(dist, 'index.html'), 'utf8');
const size = name => gzipSync(readFileSync(join(dist, name)), { level: 9 }).length;

const files = readdirSync(join(dist, 'assets')).map(name => ({
  name,
  bytes: size(join('assets', name)),
  first: html.includes(name),
}));
const sum = keep => files.filter(keep).reduce((total, file) => total + file.bytes, 0);
const js = file => file.name.endsWith('.js');
const css = file => file.name.endsWith('.css');
const measured = {
  first: sum(file => js(file) && file.first),
  css: sum(css),
  lazy: Math.max(0, ...files.filter(file => js(file) && !file.first).map(file => file.bytes)),
  all: sum(file => js(file) || css(file)),
};

for (const file of files.sort((a, b) => b.bytes - a.bytes)) {
  console.log(`${String(file.bytes).padStart(7)}  ${file.first ? 'first' : 'lazy '}  ${file.name}`);
}
let failed = measured.first === 0;
for (const [what, limit] of Object.entries(limits)) {
  const over = measured[what] > limit;
  failed ||= over;
  console.log(`${what.padEnd(6)} ${measured[what]} of ${limit} bytes gz${over ? ': TOO LARGE' : ''}`);
}
process.exit(failed ? 1 : 0);
