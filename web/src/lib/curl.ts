// shell quotes text as one word of a POSIX shell.
export function shell(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

// curl is a command line that asks the node the same question as the page.
// The token never goes into it: it would end up in the shell's history.
export function curl(url: string, needsToken: boolean): string {
  const auth = needsToken ? ` -H "Authorization: Bearer $SHOAL_TOKEN"` : '';
  return `curl${auth} ${shell(url)}`;
}
