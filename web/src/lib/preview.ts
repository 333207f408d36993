// Files are only ever previewed as plain text; everything else is downloaded.
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
