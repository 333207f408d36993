// Names and snippets come from other computers. They are only ever shown as
// text, and nothing in them may reorder, hide or imitate what stands around it.

export interface Piece {
  text: string;
  // mark: matched the query. escape: stands for a character that cannot be seen.
  mark: boolean;
  escape: boolean;
}

// Control characters, direction overrides and isolates, invisible separators,
// and halves of surrogate pairs. U+200C and U+200D stay: words and emoji need them.
const unseen =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

// pieces makes a name safe to show: unseen characters become visible escapes.
export function pieces(text: string, mark = false): Piece[] {
  const out: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(unseen)) {
    if (match.index > from) out.push({ text: text.slice(from, match.index), mark, escape: false });
    out.push({ text: escaped(match[0]), mark, escape: true });
    from = match.index + match[0].length;
  }
  if (from < text.length || out.length === 0) out.push({ text: text.slice(from), mark, escape: false });
  return out;
}

// plain is pieces for places that take only a string, such as titles.
export function plain(text: string): string {
  return text.replace(unseen, escaped);
}

function escaped(char: string): string {
  if (char === '\n') return '\\n';
  if (char === '\t') return '\\t';
  if (char === '\r') return '\\r';
  return `\\u{${char.charCodeAt(0).toString(16)}}`;
}

// marked cuts a snippet at its marks, which count code points, not UTF-16
// units. Marks out of order, overlapping or out of range do no harm.
export function marked(text: string, marks: readonly (readonly number[])[]): Piece[] {
  const points = Array.from(text.replace(/[\n\t\r]+/g, space => ' '.repeat(space.length)));
  const inside = new Uint8Array(points.length);
  for (const [start = 0, end = 0] of marks) inside.fill(1, Math.max(0, start), Math.max(0, end));
  const out: Piece[] = [];
  for (let from = 0; from < points.length;) {
    let to = from + 1;
    while (to < points.length && inside[to] === inside[from]) to++;
    out.push(...pieces(points.slice(from, to).join(''), inside[from] === 1));
    from = to;
  }
  return out;
}

// initial is what stands in the round badge of a computer.
export function initial(name: string): string {
  return Array.from(plain(name).trim())[0]?.toLocaleUpperCase() ?? '?';
}

export function shortID(id: string): string {
  return id.length > 14 ? `${id.slice(0, 8)}…${id.slice(-4)}` : id;
}

// baseName and dirName of a slash path; a trailing slash belongs to the name.
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/', path.length - 2) + 1);
}

export function dirName(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/', path.length - 2)));
}
