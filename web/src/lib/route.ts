export type Page =
  | 'home'
  | 'search'
  | 'folders'
  | 'transfers'
  | 'peers'
  | 'network'
  | 'activity'
  | 'delta'
  | 'dht'
  | 'ranges'
  | 'words'
  | 'lessons';

export interface Route {
  page: Page;
  // rest: what follows the page's name, such as a folder's id.
  rest: string;
  query: URLSearchParams;
}

export interface Arrival {
  join?: string;
  get?: string;
  token?: string;
}

const pages: readonly string[] = [
  'search',
  'folders',
  'transfers',
  'peers',
  'network',
  'activity',
  'delta',
  'dht',
  'ranges',
  'words',
  'lessons',
];

// parse reads the part of the address after "#". What it does not know is home.
export function parse(hash: string): Route {
  const text = hash.replace(/^#?\/?/, '');
  const mark = text.indexOf('?');
  const path = mark < 0 ? text : text.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1));
  const [name = '', ...rest] = path.split('/');
  if (!pages.includes(name)) return { page: 'home', rest: '', query: new URLSearchParams() };
  return { page: name as Page, rest: decoded(rest.join('/')), query };
}

// arrival reads secrets that a link carries after "#": they never reach a
// server and must leave the address bar once read.
export function arrival(hash: string): Arrival {
  const text = hash.replace(/^#/, '');
  if (text.startsWith('join=')) return { join: text.slice('join='.length) };
  if (text.startsWith('get=')) return { get: text.slice('get='.length) };
  if (text.startsWith('token=')) return { token: decoded(text.slice('token='.length)) };
  return {};
}

export function href(page: Page, rest = '', query: Record<string, string> = {}): string {
  const path = page === 'home' ? '' : page + (rest ? `/${encodeURIComponent(rest)}` : '');
  const params = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ''));
  const text = params.toString();
  return `#/${path}${text ? `?${text}` : ''}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
