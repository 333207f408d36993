export type Resource = 'node' | 'peers' | 'members' | 'folders';

export const everything: readonly Resource[] = ['node', 'peers', 'members', 'folders'];

// stale tells what must be read again after an event. Events of a search or a
// transfer change none of the lists.
export function stale(topic: string): readonly Resource[] {
  if (topic === 'reset') return everything;
  // Its figures are in the event itself, several times a second.
  if (topic === 'folder.scanning') return [];
  switch (topic.split('.')[0]) {
    case 'network':
    case 'node':
      return everything;
    case 'member':
      return ['node', 'members', 'peers', 'folders'];
    case 'peer':
    case 'link':
      return ['node', 'peers', 'members', 'folders'];
    case 'folder':
    case 'offer':
    case 'file':
      return ['node', 'folders'];
    case 'document':
      return ['node'];
    default:
      return [];
  }
}

// Gather collects what is stale and hands it out at most every `every`
// milliseconds, so that a busy scan does not become a flood of requests.
export class Gather {
  readonly #due = new Set<Resource>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  readonly #flush: (due: Resource[]) => void;
  readonly #every: number;

  constructor(flush: (due: Resource[]) => void, every = 400) {
    this.#flush = flush;
    this.#every = every;
  }

  add(resources: readonly Resource[]): void {
    for (const resource of resources) this.#due.add(resource);
    if (this.#due.size === 0 || this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const due = [...this.#due];
      this.#due.clear();
      this.#flush(due);
    }, this.#every);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
