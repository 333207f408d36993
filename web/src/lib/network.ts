import type { NetworkReport, Node, Peer } from '../api/types';
import { millis, plural } from './format';
import type { IconName } from '../ui/icons';

// The report of a check as a picture: stations on the way from this computer to
// another one.

export type Tone = 'good' | 'warn' | 'bad' | 'unknown';

export interface Station {
  what: 'me' | 'router' | 'outside' | 'peers';
  icon: IconName;
  title: string;
  // main is the one thing to know; lines are the others.
  main: string;
  lines: string[];
  tone: Tone;
}

// natType names the type of a router as people do (RFC 3489), from what it does
// (RFC 4787). Empty: not known.
export function natType(r: Pick<NetworkReport, 'mapping' | 'filtering'>): string {
  const names: Record<string, string> = {
    endpoint_independent: 'Full cone NAT',
    address_dependent: 'Address-restricted NAT',
    address_port_dependent: 'Port-restricted NAT',
  };
  switch (r.mapping) {
    case 'none':
      if (r.filtering === 'open') return 'No NAT';
      return r.filtering === 'unknown' ? 'No NAT seen' : 'Firewall, no NAT';
    case 'endpoint_independent':
      return names[r.filtering] ?? 'NAT that keeps its ports';
    case 'address_dependent':
    case 'address_port_dependent':
      return 'Symmetric NAT';
    default:
      return '';
  }
}

// mappedBy names the ways in which the p2p port is forwarded.
export function mappedBy(r: NetworkReport): string[] {
  const { upnp, nat_pmp, pcp, manual } = r.port_mapping;
  const all: [boolean, string][] = [
    [pcp, 'PCP'],
    [nat_pmp, 'NAT-PMP'],
    [upnp, 'UPnP'],
    [manual, 'by hand'],
  ];
  return all.filter(([yes]) => yes).map(([, name]) => name);
}

export function stations(
  r: NetworkReport,
  node: Pick<Node, 'name' | 'p2p'> | null,
  peers: readonly Peer[],
): Station[] {
  return [me(r, node), router(r), outside(r), others(r, peers)];
}

function me(r: NetworkReport, node: Pick<Node, 'name' | 'p2p'> | null): Station {
  const works = [r.udp && 'UDP', r.tcp && 'TCP', r.ipv4 && 'IPv4', r.ipv6 && 'IPv6'].filter(Boolean);
  const known = r.scope !== null;
  return {
    what: 'me',
    icon: 'home',
    title: node?.name ?? 'This computer',
    main:
      works.length > 0
        ? `${works.join(', ')} ${works.length === 1 ? 'works' : 'work'}`
        : known
          ? 'Nothing came back'
          : 'Not checked yet',
    lines: (node?.p2p ?? []).slice(0, 2),
    tone: !known ? 'unknown' : r.udp ? 'good' : r.tcp ? 'warn' : 'bad',
  };
}

function router(r: NetworkReport): Station {
  const type = natType(r);
  const by = mappedBy(r);
  const lines: string[] = [];
  if (by.length > 0) lines.push(`Port forwarded: ${by.join(', ')}`);
  else if (r.mapping !== null && r.mapping !== 'none') lines.push('No port forwarded');
  if (r.double_nat === true) lines.push('A second router translates behind it');
  const hard = type === 'Symmetric NAT' || r.double_nat === true;
  return {
    what: 'router',
    icon: 'router',
    title: r.mapping === 'none' ? 'No router in between' : 'Router',
    main: type || 'Type not known',
    lines,
    tone: type === '' ? 'unknown' : by.length > 0 && r.reachable !== false ? 'good' : hard ? 'warn' : 'good',
  };
}

const scopes: Record<string, string> = {
  public: 'Internet',
  private: 'Local network',
  loopback: 'This computer only',
};

function outside(r: NetworkReport): Station {
  const reach =
    r.reachable === null
      ? 'Not known who can reach it'
      : r.reachable
        ? 'Everybody can reach it'
        : 'Strangers cannot reach it';
  return {
    what: 'outside',
    icon: 'network',
    title: scopes[r.scope ?? ''] ?? 'Internet',
    main: r.external ?? 'Not known how others see this node',
    lines: r.external ? ['where others see this computer', reach] : [],
    tone: r.reachable === null ? 'unknown' : r.reachable ? 'good' : 'warn',
  };
}

function others(r: NetworkReport, peers: readonly Peer[]): Station {
  const linked = peers.filter(p => p.connected);
  const relayed = linked.filter(p => p.path?.kind === 'relayed').length;
  const inUse = r.relays.filter(relay => relay.in_use);
  const lines = inUse.map(
    relay => `Relay: ${relay.name}${relay.rtt_ms > 0 ? `, ${millis(relay.rtt_ms)}` : ''}`,
  );
  if (relayed > 0) lines.push(`${plural(relayed, 'link')} through a relay`);
  return {
    what: 'peers',
    icon: 'peers',
    title: 'Other computers',
    main: linked.length > 0 ? `${plural(linked.length, 'link')} up` : 'No link',
    lines,
    tone: linked.length === 0 ? 'unknown' : relayed > 0 ? 'warn' : 'good',
  };
}

export interface Fact {
  about: string;
  label: string;
  value: string;
  tone: Tone;
  sentence: string;
}

const labels: Record<string, string> = {
  udp: 'UDP',
  tcp: 'TCP',
  ipv4: 'IPv4',
  ipv6: 'IPv6',
  external: 'Address outside',
  mapping: 'Mapping',
  filtering: 'Filtering',
  port_mapping: 'Port forwarding',
  double_nat: 'Two routers',
  reachable: 'Reachable',
  relays: 'Relays',
};

// facts are the findings with a word for each.
export function facts(r: NetworkReport): Fact[] {
  return r.findings.map(({ about, sentence }) => ({
    about,
    label: labels[about] ?? about,
    sentence,
    ...value(r, about),
  }));
}

function value(r: NetworkReport, about: string): Pick<Fact, 'value' | 'tone'> {
  const yes = (v: boolean | null, good = true): Pick<Fact, 'value' | 'tone'> =>
    v === null
      ? { value: 'not known', tone: 'unknown' }
      : { value: v ? 'yes' : 'no', tone: v === good ? 'good' : 'warn' };
  const checked = r.scope !== null;
  switch (about) {
    case 'udp':
      return yes(checked ? r.udp : null);
    case 'tcp':
      return yes(checked ? r.tcp : null);
    case 'ipv4':
      return yes(checked ? r.ipv4 : null);
    case 'ipv6':
      return r.ipv6 ? yes(true) : { value: 'no', tone: 'unknown' };
    case 'external':
      return r.external ? { value: r.external, tone: 'good' } : yes(null);
    case 'mapping':
      return words(r.mapping, { none: 'good', endpoint_independent: 'good' });
    case 'filtering':
      return words(r.filtering === 'unknown' ? null : r.filtering, {
        open: 'good',
        endpoint_independent: 'good',
      });
    case 'port_mapping': {
      const by = mappedBy(r);
      return by.length > 0 ? { value: by.join(', '), tone: 'good' } : { value: 'none', tone: 'unknown' };
    }
    case 'double_nat':
      return yes(r.double_nat, false);
    case 'reachable':
      return yes(r.reachable);
    case 'relays':
      return { value: String(r.relays.length), tone: r.relays.length > 0 ? 'good' : 'unknown' };
    default:
      return { value: '', tone: 'unknown' };
  }
}

function words(v: string | null, tones: Record<string, Tone>): Pick<Fact, 'value' | 'tone'> {
  if (v === null) return { value: 'not known', tone: 'unknown' };
  return { value: v.replaceAll('_', ' '), tone: tones[v] ?? 'warn' };
}

// isAddress tells addresses from words: they must not be broken inside a number.
export function isAddress(text: string): boolean {
  return /^[\d.:a-f[\]]+:\d+$/i.test(text);
}

const telling = ['punched', 'relayed', 'mapped', 'direct'];

// linkOrder puts the links first of which there is most to tell: a punched hole before a relay, and
// those before what was simply there. Who has no link is not among them.
export function linkOrder(peers: readonly Peer[]): Peer[] {
  const rank = (p: Peer) => (telling.indexOf(p.path?.kind ?? '') + telling.length + 1) % (telling.length + 1);
  return peers.filter(p => p.connected).sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}
