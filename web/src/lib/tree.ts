// Entries come as a flat list of paths, in order; these place them in a tree.

// depth of a path below a prefix that is empty or ends with a slash.
export function depth(path: string, prefix: string): number {
  const below = path.startsWith(prefix) ? path.slice(prefix.length) : path;
  return below.replace(/\/$/, '').split('/').length - 1;
}

export interface Crumb {
  name: string;
  prefix: string;
}

// crumbs are the ways back up from a prefix; the first one is the folder itself.
export function crumbs(prefix: string): Crumb[] {
  const out: Crumb[] = [{ name: '', prefix: '' }];
  let at = '';
  for (const name of prefix.split('/').filter(Boolean)) {
    at += `${name}/`;
    out.push({ name, prefix: at });
  }
  return out;
}
