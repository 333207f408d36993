import { getContext, setContext } from 'svelte';
import { Api } from '../api/client';
import { asProblem } from '../api/problem';
import { Token } from '../api/token';
import type { LabNode } from '../api/types';
import { arrival, parse, type Route } from './route';
import { Session } from './session.svelte';

export type Theme = 'auto' | 'light' | 'dark';
export interface Toast {
  id: number;
  text: string;
  tone: 'good' | 'bad';
}
export type Dialog = 'invite' | 'join' | 'share' | 'help' | 'hand' | 'get' | null;

const themeKey = 'shoal-theme';
const labKey = 'shoal-lab';
const context = Symbol('shell');

// Shell is the frame around the pages: where we are, which node the page
// speaks with, what is open on top.
export class Shell {
  readonly token: Token;
  route = $state.raw<Route>(parse(''));
  session = $state.raw<Session>(null as unknown as Session);
  lab = $state.raw<LabNode[]>([]);
  labIndex = $state(0);
  dialog = $state<Dialog>(null);
  // joinLink: the invitation that the page was opened with.
  joinLink = $state('');
  // getText: the link to a file, or the text of a seed, that the page was given.
  getText = $state('');
  // handLink: the invitation whose maker is to be reached by hand.
  handLink = $state('');
  theme = $state<Theme>('auto');
  toasts = $state.raw<Toast[]>([]);
  now = $state(Date.now());
  // focusSearch grows each time the search field shall take the focus.
  focusSearch = $state(0);
  #toast = 0;
  // #address is what the address bar shows after the page's path.
  #address = '#/';

  constructor() {
    const page = document.querySelector<HTMLMetaElement>('meta[name="shoal-token"]')?.content ?? '';
    this.token = new Token(page, sessionStorage);
    this.#arrive();
    this.setTheme((localStorage.getItem(themeKey) as Theme | null) ?? 'auto');
    this.session = new Session(new Api(location.origin, this.token));
  }

  async start(): Promise<() => void> {
    const hash = () => this.#arrive();
    const back = () => document.visibilityState === 'visible' && this.session.retry();
    const clock = setInterval(() => (this.now = Date.now()), 5000);
    window.addEventListener('hashchange', hash);
    window.addEventListener('online', back);
    document.addEventListener('visibilitychange', back);
    void this.session.open().then(() => this.#findLab());
    return () => {
      clearInterval(clock);
      window.removeEventListener('hashchange', hash);
      window.removeEventListener('online', back);
      document.removeEventListener('visibilitychange', back);
      this.session.close();
    };
  }

  selectLab(index: number): void {
    const target = this.lab.find(node => node.index === index);
    if (!target || (index === this.labIndex && this.session.api.base.endsWith(target.api))) return;
    this.labIndex = index;
    sessionStorage.setItem(labKey, String(index));
    this.session.close();
    this.session = new Session(new Api(location.origin + target.api, this.token));
    void this.session.open();
  }

  // unlock tries a token, and goes on with what the page could not do without.
  async unlock(token: string): Promise<void> {
    if (await this.session.unlock(token)) await this.#findLab();
  }

  // go changes the page at once; the browser tells of the new address only later.
  go(hash: string): void {
    location.hash = hash;
    this.#arrive();
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    if (theme === 'auto') {
      localStorage.removeItem(themeKey);
      delete document.documentElement.dataset['theme'];
    } else {
      localStorage.setItem(themeKey, theme);
      document.documentElement.dataset['theme'] = theme;
    }
  }

  say = (text: string, tone: Toast['tone'] = 'good'): void => {
    const id = ++this.#toast;
    this.toasts = [...this.toasts.slice(-2), { id, text, tone }];
    setTimeout(() => this.dismiss(id), tone === 'bad' ? 12_000 : 5000);
  };

  dismiss(id: number): void {
    this.toasts = this.toasts.filter(toast => toast.id !== id);
  }

  // attempt runs an action and says in a toast what went wrong.
  attempt = async (action: () => Promise<unknown>, success = ''): Promise<boolean> => {
    try {
      await action();
      if (success) this.say(success);
      return true;
    } catch (error) {
      const problem = asProblem(error);
      // The prompt for the token says it already.
      if (!problem.aboutToken) this.say(problem.whole, 'bad');
      return false;
    }
  };

  // #arrive reads the address. Secrets in it are taken out of sight at once.
  #arrive(): void {
    const { join, get, token } = arrival(location.hash);
    if (join === undefined && get === undefined && token === undefined) {
      this.#address = location.hash || '#/';
      this.route = parse(location.hash);
      return;
    }
    // The page that was open stays.
    history.replaceState(null, '', location.pathname + location.search + this.#address);
    if (token !== undefined) {
      // Before the session there is nothing to unlock.
      if (this.session) void this.unlock(token);
      else this.token.set(token);
    }
    if (join !== undefined) {
      this.joinLink = `${location.origin}/#join=${join}`;
      this.dialog = 'join';
    }
    if (get !== undefined) {
      this.getText = `shoal:${get}`;
      this.dialog = 'get';
    }
  }

  async #findLab(): Promise<void> {
    if (!this.session.node?.lab || this.lab.length > 0) return;
    try {
      this.lab = (await this.session.api.lab()).items;
      const index = Number(sessionStorage.getItem(labKey) ?? 0);
      if (index > 0) this.selectLab(index);
    } catch (error) {
      this.say(asProblem(error).message, 'bad');
    }
  }
}

export function provideShell(shell: Shell): Shell {
  return setContext(context, shell);
}

export function useShell(): Shell {
  return getContext<Shell>(context);
}
