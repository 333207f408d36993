export interface Message {
  event: string;
  data: string;
  id: string;
}

// SSE takes text in any pieces and returns the server-sent events that are
// complete, after the HTML standard's event stream interpretation.
export class SSE {
  #rest = '';
  #event = '';
  #data: string[] = [];
  #id = '';

  push(text: string): Message[] {
    const out: Message[] = [];
    this.#rest += text;
    // A carriage return at the very end may be half of CRLF: it stays.
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') this.#dispatch(out);
      else this.#field(line);
    }
    return out;
  }

  #field(line: string): void {
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') this.#event = value;
    else if (name === 'data') this.#data.push(value);
    else if (name === 'id') this.#id = value;
  }

  #dispatch(out: Message[]): void {
    if (this.#data.length > 0) {
      out.push({ event: this.#event || 'message', data: this.#data.join('\n'), id: this.#id });
    }
    this.#event = '';
    this.#data = [];
  }
}

export async function* readSSE(body: ReadableStream<Uint8Array>): AsyncGenerator<Message> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new SSE();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    // Leaving early ends the request; a stream that already failed stays failed.
    await reader.cancel().catch(() => undefined);
  }
}
