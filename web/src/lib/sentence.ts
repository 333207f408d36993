import type { Event, Folder } from '../api/types';
import { bytes, count, millis, plural } from './format';
import { stateLabel } from './folder';
import { number, text, texts } from './journal';
import { cause, linkLoss, searchLoss } from './outage';
import { kindLabel } from './path';
import { shortID } from './text';
import type { IconName } from '../ui/icons';

// A part that is a name or words of another computer is shown as such; quiet
// ones do not stand out.
export type Part = string | { name: string; quiet?: boolean };

export interface Sentence {
  icon: IconName;
  tone: 'plain' | 'good' | 'warn' | 'bad';
  parts: Part[];
}

type Writer = (event: Event, labelOf: LabelOf, nameOf: NameOf) => Sentence;

// LabelOf names a folder by its id; empty when it is not known here.
export type LabelOf = (folder: string) => string;

// NameOf names a member by its id; empty when it is not known here.
export type NameOf = (member: string) => string;

// sentence tells an event the way a person would. Topics it does not know are
// shown with what they carry, so that a newer node is never silent.
export function sentence(event: Event, labelOf: LabelOf = () => '', nameOf: NameOf = () => ''): Sentence {
  return (writers[event.topic] ?? unknown)(event, labelOf, nameOf);
}

// topicsOf lists the groups of topics that occur, for the filter.
export function topicsOf(events: readonly Event[]): string[] {
  return [...new Set(events.map(group))].sort();
}

export function group(event: Event): string {
  return event.topic.split('.')[0] ?? event.topic;
}

const said = (tone: Sentence['tone'], icon: IconName, ...parts: Part[]): Sentence => ({ icon, tone, parts });

const who = (event: Event): Part => ({
  name: text(event, 'name', 'node_name') || shortID(text(event, 'id', 'node', 'by')) || 'A computer',
});

const folder = (event: Event, labelOf: LabelOf): Part => {
  const id = text(event, 'folder', 'id');
  return {
    name: text(event, 'label') || labelOf(id) || shortID(id) || 'a folder',
  };
};

const named = (event: Event): Part => ({ name: text(event, 'name') || shortID(text(event, 'seed')) });

const because = (event: Event): Part[] => {
  const error = cause(text(event, 'error', 'reason'));
  return error ? [': ', { name: error, quiet: true }] : ['.'];
};

const writers: Record<string, Writer> = {
  reset: () =>
    said(
      'plain',
      'refresh',
      'Some events are gone: the node restarted, or there were too many. Everything was read again.',
    ),
  'node.started': () => said('good', 'home', 'The node started.'),
  'network.joined': e => said('good', 'peers', 'This computer joined ', who(e), '.'),
  'network.founded': e =>
    said(
      'good',
      'peers',
      'This computer made the network ',
      who(e),
      text(e, 'mode') === 'open' ? ', which is open.' : '.',
    ),
  'network.changed': e => {
    const at = text(e, 'external');
    if (!at) return said('plain', 'peers', 'How others see this computer is not known.');
    const reached = e.data['reachable'] === true ? ', and can reach it there' : '';
    return said('plain', 'peers', 'Others see this computer at ', { name: at }, `${reached}.`);
  },
  'member.joined': e => said('good', 'plus', who(e), ' joined the network.'),
  'member.changed': e => said('plain', 'peers', who(e), ' is known here', ...role(e), '.'),
  'member.revoked': e => said('warn', 'minus', who(e), ' was removed from the network.'),
  'seed.guest': e =>
    said(
      'warn',
      'shield',
      'The computer ',
      { name: shortID(text(e, 'guest')) },
      ', outside the network, may get the file ',
      { name: text(e, 'name') || shortID(text(e, 'seed')) },
      ' by a link.',
    ),
  'peer.linked': e => said('good', 'link', 'Linked to ', who(e), ...way(e), '.'),
  'peer.lost': e => {
    const error = text(e, 'error', 'reason');
    if (!error) return said('warn', 'unlink', 'The link to ', who(e), ' went down.');
    return said('warn', 'unlink', who(e), ` ${linkLoss(error)}.`);
  },
  'peer.path': e =>
    said(
      'plain',
      'link',
      'The link to ',
      who(e),
      ` is ${kindLabel(text(e, 'path')).toLowerCase() || 'another one'} now.`,
    ),
  'peer.found': e => {
    const [at] = texts(e, 'addrs');
    return said(
      'plain',
      'search',
      who(e),
      ' was found',
      ...(text(e, 'via') === 'lan' ? [' in the local network'] : []),
      ...(at ? [' at ', { name: at, quiet: true }] : []),
      '.',
    );
  },
  'route.hop': (e, _, by) =>
    said(
      'plain',
      'peers',
      'Passed a request of ',
      member(text(e, 'from'), by),
      ' for ',
      member(text(e, 'to'), by),
      ...(text(e, 'via') === text(e, 'to') ? [] : [' on to ', member(text(e, 'via'), by)]),
      '.',
    ),
  'nat.mapped': e =>
    said(
      'good',
      'router',
      'The router forwards ',
      { name: text(e, 'external') },
      ` to this computer (${protocolLabel(text(e, 'protocol'))}).`,
    ),
  'nat.unmapped': e =>
    said(
      'warn',
      'router',
      'The router no longer forwards ',
      { name: text(e, 'external') },
      ' to this computer.',
    ),
  'peer.failed': e => said('warn', 'unlink', who(e), ' could not be reached', ...because(e)),
  'offer.changed': (e, of) =>
    e.data['gone'] === true
      ? said('plain', 'folder', 'The folder ', folder(e, of), ' is not offered any more.')
      : said(
          'plain',
          'folder',
          'The folder ',
          folder(e, of),
          text(e, 'access') === 'none'
            ? ' is offered only to those who are named.'
            : ' is offered to the network.',
        ),
  'folder.added': (e, of) => said('good', 'folder', 'The folder ', folder(e, of), ' is shared.'),
  'folder.changed': (e, of) => {
    const conflicts = number(e, 'conflicts');
    if (conflicts === 0 || ['paused', 'held'].includes(text(e, 'state'))) {
      return said(
        text(e, 'state') === 'held' ? 'warn' : 'plain',
        'folder',
        'The folder ',
        folder(e, of),
        ...state(e),
        '.',
      );
    }
    const wait = conflicts === 1 ? 'conflict waits' : 'conflicts wait';
    return said('warn', 'conflict', `${count(conflicts)} ${wait} for your decision in `, folder(e, of), '.');
  },
  'folder.removed': (e, of) =>
    said('plain', 'folder', 'The folder ', folder(e, of), ' is not shared any more.'),
  'folder.scanning': (e, of) =>
    said('plain', 'scan', 'Looking through ', folder(e, of), `: ${amount(e)} so far.`),
  'folder.scanned': (e, of) => said('plain', 'check', folder(e, of), ': looked through', ...found(e), '.'),
  'folder.error': (e, of) =>
    said('bad', 'warning', 'The folder ', folder(e, of), ' cannot be read', ...because(e)),
  'folder.applied': (e, of, by) =>
    said('good', 'download', ...authors(e, by), changes(e), ' in ', folder(e, of), ...paths(e)),
  'folder.recorded': (e, of) =>
    said('plain', 'edit', `${changes(e)} made here in `, folder(e, of), ...paths(e)),
  'folder.refused': (e, of, by) =>
    said(
      'warn',
      'shield',
      'What ',
      member(text(e, 'member'), by),
      ' sent for ',
      folder(e, of),
      ' was not taken over',
      ...(text(e, 'path') ? [' (', { name: text(e, 'path'), quiet: true }, ')'] : []),
      ...(text(e, 'why') ? [': ', { name: text(e, 'why'), quiet: true }] : ['.']),
    ),
  'seed.added': e =>
    e.data['whole'] === true
      ? said('good', 'transfers', 'The file ', named(e), ` (${bytes(number(e, 'size'))}) is shared.`)
      : said('plain', 'transfers', 'The file ', named(e), ` (${bytes(number(e, 'size'))}) is being got.`),
  'seed.finished': e =>
    said(
      'good',
      'download',
      'The file ',
      named(e),
      ` is here: ${bytes(number(e, 'size'))} in ${millis(number(e, 'seconds') * 1000)} from ${plural(number(e, 'sources'), 'source')}.`,
    ),
  'seed.failed': e => said('bad', 'warning', 'The file ', named(e), ' does not come', ...because(e)),
  'seed.changed': e =>
    said('warn', 'warning', 'The file ', named(e), ' is not what was shared any more', ...because(e)),
  'seed.bad_source': (e, _, by) =>
    said(
      'warn',
      'shield',
      text(e, 'url') ? { name: text(e, 'url') } : member(text(e, 'member'), by),
      ' sent a wrong piece of ',
      named(e),
      ', and is not asked for it any more.',
    ),
  'seed.removed': e => said('plain', 'transfers', 'The file ', named(e), ' is not shared any more.'),
  'document.published': e => {
    const title = text(e, 'title');
    if (title) return said('good', 'document', 'The document ', { name: title }, ' can be found.');
    return said('good', 'document', `${plural(number(e, 'count'), 'document')} can be found.`);
  },
  'document.withdrawn': e =>
    said('plain', 'document', 'The document ', { name: shortID(text(e, 'id')) }, ' was withdrawn.'),
  'search.asked': e => said('plain', 'search', 'Asked ', who(e), '.'),
  'search.answered': e =>
    text(e, 'error')
      ? said('warn', 'search', who(e), ` ${searchLoss(text(e, 'error')).says}: its files were not searched.`)
      : said(
          'plain',
          'search',
          who(e),
          ` answered with ${plural(number(e, 'total'), 'result')} in ${millis(number(e, 'ms'))}.`,
        ),
  'dht.step': (e, _, by) => {
    const tone = e.data['failed'] === true ? 'warn' : 'plain';
    if (text(e, 'proto') === 'find/1') {
      return said(
        tone,
        'table',
        `Table, ${text(e, 'operation')}: asked `,
        member(text(e, 'to'), by),
        ' the way',
        ...answer(e),
      );
    }
    return said(
      tone,
      'table',
      `Table, ${text(e, 'operation')}: asked `,
      member(text(e, 'to'), by),
      ...answer(e),
    );
  },
  'dht.crowded': e =>
    said(
      'warn',
      'table',
      `Members sit nearer to the key ${text(e, 'key').slice(0, 8)}… than chance would have them. All around it were asked.`,
    ),
  'dht.stored': (e, _, by) =>
    said(
      'good',
      'table',
      member(text(e, 'from'), by),
      ` sent ${plural(number(e, 'records'), 'record')} to keep`,
      ...answer(e),
    ),
  'dht.repaired': (e, _, by) =>
    said(
      'good',
      'table',
      'Copies compared with ',
      member(text(e, 'with'), by),
      `: ${plural(number(e, 'sent'), 'record')} sent, ${count(number(e, 'received'))} received (${plural(number(e, 'messages'), 'message')}, ${bytes(number(e, 'bytes'))}).`,
    ),
  'dht.resized': e =>
    said(
      'plain',
      'table',
      `Each record is kept ${count(number(e, 'to'))} times instead of ${count(number(e, 'from'))}: of ${count(number(e, 'members'))} computers ${count(number(e, 'expected'))} are expected to leave soon.`,
    ),
  'dht.forgotten': (e, _, by) =>
    said(
      'warn',
      'table',
      'This computer’s state was put back to an earlier time, says ',
      member(text(e, 'by'), by),
      ': it keeps registers only where it is made an acceptor anew.',
    ),
  'tracker.changed': e => {
    const [whole, partial] = [number(e, 'whole'), number(e, 'partial')];
    const name = text(e, 'name') || text(e, 'id').slice(0, 12);
    if (whole + partial === 0) return said('plain', 'download', `Nobody has ${name} any more.`);
    return said(
      'plain',
      'download',
      `${name}: ${plural(whole, 'computer')} with all of it, ${count(partial)} with a part.`,
    );
  },
  'direct.received': (e, _, by) =>
    said(
      'plain',
      'download',
      member(text(e, 'from'), by),
      ` sent ${bytes(number(e, 'size'))} of data`,
      e.data['handled'] === true
        ? ', which a program has answered.'
        : ', which wait for an answer on the page Table.',
    ),
};

// protocolLabel is what a way to ask a router is called by people.
function protocolLabel(name: string): string {
  return { upnp: 'UPnP', nat_pmp: 'NAT-PMP', pcp: 'PCP' }[name] ?? name;
}

function unknown(event: Event): Sentence {
  const fields = Object.entries(event.data).filter(([, value]) => typeof value !== 'object');
  const carried = fields.map(([name, value]) => `${name} ${String(value)}`).join(', ');
  const tone = text(event, 'error') ? 'warn' : 'plain';
  return said(tone, 'activity', event.topic, ...(carried ? [': ', { name: carried }] : []));
}

const member = (id: string, by: NameOf): Part => ({
  name: by(id) || shortID(id) || 'another computer',
});

// answer is what the other side said, in its own words.
const answer = (event: Event): Part[] => {
  const words = text(event, 'outcome');
  return words ? [' (', { name: words, quiet: true }, ').'] : ['.'];
};

const changes = (event: Event): string => plural(number(event, 'count'), 'change');

// authors of changes that were done here: "alice and bob made ".
function authors(event: Event, by: NameOf): Part[] {
  const ids = texts(event, 'members').slice(0, 3);
  if (ids.length === 0) return ['Brought up to date: '];
  const before = (i: number) => (i === 0 ? [] : [i === ids.length - 1 ? ' and ' : ', ']);
  return [...ids.flatMap((id, i): Part[] => [...before(i), member(id, by)]), ' made '];
}

// paths names some of the files that an event is about.
function paths(event: Event): Part[] {
  const [one, two, ...more] = texts(event, 'paths');
  const rest = Math.max(number(event, 'count'), more.length + 2) - 2;
  if (!one) return ['.'];
  if (!two) return [': ', { name: one, quiet: true }];
  return [
    ': ',
    { name: one, quiet: true },
    ', ',
    { name: two, quiet: true },
    rest > 0 ? ` and ${count(rest)} more` : '',
  ];
}

function role(event: Event): Part[] {
  const value = text(event, 'role');
  return value ? [` as ${value === 'admin' ? 'an admin' : `a ${value}`}`] : [];
}

function way(event: Event): Part[] {
  const kind = text(event, 'path', 'kind');
  return kind ? [` (${kindLabel(kind).toLowerCase()})`] : [];
}

function amount(event: Event): string {
  const size = number(event, 'bytes');
  return plural(number(event, 'files'), 'file') + (size > 0 ? `, ${bytes(size)}` : '');
}

function found(event: Event): Part[] {
  if (!('files' in event.data)) return [];
  const parts = [`, ${amount(event)}`];
  const changed = number(event, 'changed');
  const removed = number(event, 'removed');
  if (changed > 0) parts.push(`, ${count(changed)} changed`);
  if (removed > 0) parts.push(`, ${count(removed)} gone`);
  return parts;
}

function state(event: Event): Part[] {
  const value = text(event, 'state');
  const label = value ? stateLabel({ state: value as Folder['state'] }) : '';
  return [label ? ` is ${label}` : ' changed', 'files' in event.data ? `: ${amount(event)}` : ''];
}
