// How much goes over each link now, from counters that are read again and again.

export interface Rate {
  // bytes per second
  in: number;
  out: number;
}

interface Counters {
  id: string;
  bytes_in: number;
  bytes_out: number;
}

interface Last {
  at: number;
  in: number;
  out: number;
  rate: Rate | null;
}

// least: readings that are closer together, in milliseconds, say little.
const least = 1000;

// Rates remembers the last counters of each link.
export class Rates {
  #last = new Map<string, Last>();

  // read takes counters that were read at a time in milliseconds, and returns the
  // rates since the reading before; of a link that is new there is none.
  read(list: readonly Counters[], at: number): Map<string, Rate> {
    const next = new Map<string, Last>();
    const out = new Map<string, Rate>();
    for (const { id, bytes_in, bytes_out } of list) {
      const last = this.#last.get(id);
      const ms = last ? at - last.at : 0;
      if (last && ms < least) {
        next.set(id, last);
      } else {
        // Counters begin anew with the node.
        const went = last && bytes_in >= last.in && bytes_out >= last.out;
        const rate = went
          ? { in: ((bytes_in - last.in) * 1000) / ms, out: ((bytes_out - last.out) * 1000) / ms }
          : null;
        next.set(id, { at, in: bytes_in, out: bytes_out, rate });
      }
      const rate = next.get(id)?.rate;
      if (rate) out.set(id, rate);
    }
    this.#last = next;
    return out;
  }
}
