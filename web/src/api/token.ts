const key = 'shoal-token';

export interface Store {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

// Token is this tab's proof that it may change things. On loopback the page
// brings it; elsewhere it is typed or comes as #token= and lasts as long as the tab.
export class Token {
  // fromPage: the node handed the token out by itself, so plain links work too.
  readonly fromPage: boolean;
  #value: string;
  readonly #store: Store;

  constructor(page: string, store: Store) {
    this.#store = store;
    this.fromPage = page !== '';
    this.#value = page || (store.getItem(key) ?? '');
  }

  get value(): string {
    return this.#value;
  }

  set(value: string): void {
    this.#value = value.trim();
    if (this.#value) this.#store.setItem(key, this.#value);
    else this.#store.removeItem(key);
  }
}

// subprotocol carries the token where headers cannot be set.
export function subprotocols(token: string): string[] {
  return token ? [`shoal.token.${token}`] : [];
}
