import type { Api } from '../api/client';
import { after, before, Stream, type Connection } from '../api/events';
import { asProblem, type Problem } from '../api/problem';
import type { Event, Folder, Member, Node, Peer, Transfer } from '../api/types';
import { blank, record, text, type Journal } from './journal';
import { everything, Gather, stale, type Resource } from './stale';
import { moving } from './transfers';

// history: how many earlier events a fresh page asks for.
const history = 200;

// Session is what the page knows of one node, kept fresh by the node's events.
// Lists are null until they were read once; a failure keeps the last good one.
export class Session {
  readonly api: Api;
  node = $state.raw<Node | null>(null);
  peers = $state.raw<Peer[] | null>(null);
  members = $state.raw<Member[] | null>(null);
  folders = $state.raw<Folder[] | null>(null);
  // transfers are read while somebody looks at a folder that lacks something.
  transfers = $state.raw<Transfer[]>([]);
  problems = $state.raw<Partial<Record<Resource, Problem>>>({});
  journal = $state.raw<Journal>(blank);
  connection = $state.raw<Connection>({ phase: 'connecting' });
  // refusal: the node did not take this tab's token, or wants one. Nothing is
  // asked until somebody enters another one.
  refusal = $state.raw<Problem | null>(null);
  // unlocked counts how often a token let this tab in.
  unlocked = $state(0);

  // How often something changed in each folder, and in all of them.
  #changes = $state.raw<Record<string, number>>({});
  #resets = $state(0);

  #stream: Stream | null = null;
  #start = '';
  #closed = false;
  // One read of a list at a time; a change meanwhile asks for another one.
  readonly #reading: Partial<Record<Resource, { again: boolean }>> = {};
  readonly #gather = new Gather(due => void this.refresh(due));

  constructor(api: Api) {
    this.api = api;
    api.onRefused = (problem, token) => {
      // An answer to a token that was replaced meanwhile says nothing.
      if (!this.#closed && token === api.token.value) this.#lock(problem);
    };
  }

  locked = $derived(this.refusal !== null);

  admin = $derived(this.node?.role === 'admin');
  // Anybody can be a member, and every member admits.
  isOpen = $derived(this.node?.network.mode === 'open');
  admits = $derived(this.admin || this.isOpen);
  own = $derived(this.folders?.filter(f => f.state !== 'offered') ?? null);
  offered = $derived(this.folders?.filter(f => f.state === 'offered') ?? null);

  syncing = $derived(moving(this.own ?? []));

  // changes grows with each event that may have changed what is in a folder.
  changes(folder: string): number {
    return this.#resets + (this.#changes[folder] ?? 0);
  }

  // look reads how far the transfers are.
  async look(): Promise<void> {
    try {
      this.transfers = (await this.api.transfers()).items;
      await this.refresh(['folders']);
    } catch (error) {
      this.problems = { ...this.problems, folders: asProblem(error) };
    }
  }

  nameOf(id: string): string {
    if (id === this.node?.id) return this.node.name;
    return (this.members?.find(m => m.id === id) ?? this.peers?.find(p => p.id === id))?.name ?? '';
  }

  async open(): Promise<void> {
    await this.refresh(everything);
    if (this.#closed || this.locked) return;
    this.#start = this.node?.position ?? '';
    this.#stream ??= new Stream(
      {
        url: since => this.api.eventsURL(since),
        protocols: this.api.eventsProtocols,
        onEvent: event => this.#heard(event),
        onState: state => this.#moved(state),
      },
      before(this.#start, history),
    );
  }

  close(): void {
    this.#closed = true;
    this.#gather.stop();
    this.#stream?.close();
  }

  retry = (): void => {
    if (this.locked) return;
    if (this.#stream) this.#stream.retry();
    else void this.open();
  };

  // unlock tries a token that somebody entered, and says whether it fits.
  async unlock(token: string): Promise<boolean> {
    this.api.token.set(token);
    try {
      this.node = await this.api.node();
    } catch (error) {
      if (this.locked) this.refusal = asProblem(error);
      return false;
    }
    this.refusal = null;
    this.problems = {};
    this.unlocked++;
    await this.open();
    return !this.locked;
  }

  async refresh(what: readonly Resource[]): Promise<void> {
    await Promise.all(what.map(resource => this.#read(resource)));
  }

  clearJournal(): void {
    this.journal = { ...this.journal, events: [] };
  }

  async #read(resource: Resource): Promise<void> {
    const running = this.#reading[resource];
    if (running) {
      running.again = true;
      return;
    }
    const turn = { again: false };
    this.#reading[resource] = turn;
    do {
      turn.again = false;
      try {
        await this.#load(resource);
        const { [resource]: _, ...rest } = this.problems;
        if (_) this.problems = rest;
      } catch (error) {
        this.problems = { ...this.problems, [resource]: asProblem(error) };
      }
    } while (turn.again && !this.#closed);
    delete this.#reading[resource];
  }

  async #load(resource: Resource): Promise<void> {
    if (resource === 'node') this.node = await this.api.node();
    else if (resource === 'peers') this.peers = (await this.api.peers()).items;
    else if (resource === 'members') this.members = (await this.api.members()).items;
    else this.folders = (await this.api.folders()).items;
  }

  // #lock stops everything that would ask again and again with a wrong token.
  #lock(problem: Problem): void {
    if (problem.code === 'token_wrong') this.api.token.set('');
    this.refusal = problem;
    this.#gather.stop();
    this.#stream?.close();
    this.#stream = null;
    this.connection = { phase: 'connecting' };
  }

  #heard(event: Event): void {
    this.journal = record(this.journal, event);
    if (event.topic === 'reset') this.#resets++;
    const folder = text(event, 'id', 'folder');
    if (event.topic.startsWith('folder.') && event.topic !== 'folder.scanning' && folder) {
      this.#changes = { ...this.#changes, [folder]: (this.#changes[folder] ?? 0) + 1 };
    }
    // Earlier events are history: the lists already reflect them.
    if (event.topic === 'reset' || after(event.id, this.#start)) this.#gather.add(stale(event.topic));
  }

  #moved(state: Connection): void {
    const back =
      state.phase === 'open' && this.connection.phase !== 'open' && Object.keys(this.problems).length > 0;
    this.connection = state;
    if (back) this.#gather.add(everything);
    // A refused token closes the socket without saying why: ask once.
    if (state.phase === 'lost') this.#gather.add(['node']);
  }
}
