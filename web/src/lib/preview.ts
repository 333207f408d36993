// Files are only ever previewed as plain text or as pictures that are nothing but pixels; everything
// else is downloaded.
const textTypes = new Set([
  'text',
  'markdown',
  'code',
  'csv',
  'json',
  'yaml',
  'toml',
  'xml',
  'html',
  'log',
  'plain',
  'source',
]);
const textNames =
  /\.(txt|text|md|markdown|rst|adoc|org|tex|log|csv|tsv|json|jsonl|ya?ml|toml|ini|cfg|conf|env|xml|html?|css|svg|[cm]?[jt]sx?|svelte|vue|go|mod|sum|rs|py|rb|java|kt|swift|c|h|cc|cpp|hpp|cs|php|pl|lua|sh|bash|zsh|fish|ps1|bat|sql|graphql|proto|diff|patch|srt|vtt|ics|vcf|eml)$/i;
const textFiles = /(^|\/)(readme|license|licence|changelog|makefile|dockerfile|copying|authors|todo|\.\w+)$/i;

export function textLike(type: string, path: string): boolean {
  return textTypes.has(type) || type.startsWith('text/') || textNames.test(path) || textFiles.test(path);
}

// decode returns what bytes say, or null when they are no text. A character cut
// at the end is left out. UTF-16 is known by its byte order mark.
export function decode(bytes: Uint8Array, cut: boolean): string | null {
  const encoding =
    bytes[0] === 0xff && bytes[1] === 0xfe
      ? 'utf-16le'
      : bytes[0] === 0xfe && bytes[1] === 0xff
        ? 'utf-16be'
        : 'utf-8';
  if (encoding === 'utf-8' && bytes.subarray(0, 8192).includes(0)) return null;
  return new TextDecoder(encoding).decode(bytes, { stream: cut });
}

const imageTypes: Record<string, string> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  avif: 'image/avif',
  bmp: 'image/bmp',
};

// imageType is the media type of a picture that browsers show; empty for the rest.
// Drawings in SVG are text, and compared as such.
export function imageType(path: string): string {
  return imageTypes[/\.(\w+)$/.exec(path)?.[1]?.toLowerCase() ?? ''] ?? '';
}

// Below these sizes a file is fetched to be shown: in the list, and when it is opened.
export const thumbBytes = 1024 * 1024;
export const pictureBytes = 16 * 1024 * 1024;
// A picture of more pixels takes hundreds of megabytes to show, however small its file is.
const mostPixels = 50_000_000;

// pictureType is the media type of a picture by its first bytes, whatever its name says. What is no
// picture of pixels has none, and what claims to have too many.
export function pictureType(bytes: Uint8Array): string {
  const text = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));
  const head = text(0, 8);
  let type = '';
  if (head === '\x89PNG\r\n\x1a\n') type = 'image/png';
  else if (head.startsWith('\xff\xd8\xff')) type = 'image/jpeg';
  else if (/^GIF8[79]a/.test(head)) type = 'image/gif';
  else if (head.startsWith('RIFF') && text(8, 12) === 'WEBP') type = 'image/webp';
  else if (text(4, 8) === 'ftyp' && /avi[fs]/.test(text(8, 12))) type = 'image/avif';
  return pixels(bytes, type) > mostPixels ? '' : type;
}

// pixels is how many a picture says to have; 0 where that is not looked for: browsers bound these.
function pixels(bytes: Uint8Array, type: string): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (type === 'image/png' && bytes.length >= 24) return view.getUint32(16) * view.getUint32(20);
  if (type === 'image/gif' && bytes.length >= 10) return view.getUint16(6, true) * view.getUint16(8, true);
  // JPEG is a list of segments, of which the one of the frame has the size.
  for (let at = 2; type === 'image/jpeg' && at + 9 < bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1] ?? 0;
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker))
      return view.getUint16(at + 5) * view.getUint16(at + 7);
    at += 2 + view.getUint16(at + 2);
  }
  return 0;
}

// asDataURL is a picture as the content policy lets one come: as an address that holds it, with a
// type that is given here.
export function asDataURL(content: BlobPart, type: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error ?? new Error('read a picture'));
    reader.readAsDataURL(new Blob([content], { type }));
  });
}

// Turns lets so many things happen at once; others wait.
export class Turns {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(most: number) {
    this.#most = most;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#busy >= this.#most) await new Promise<void>(resolve => this.#waiting.push(resolve));
    else this.#busy++;
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#busy--;
    }
  }
}
