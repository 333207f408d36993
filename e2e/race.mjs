// crashed returns the packages whose tests did not pass because the race detector itself came to
// an end (a failed check within ThreadSanitizer's runtime), in what `go test` has printed; none if
// any package failed for another reason. `go test` prints what a package says just before its line.
export function crashed(output) {
  const packages = [];
  let said = [];
  for (const line of output.split("\n")) {
    const [, outcome, name] = /^(ok  |FAIL|\?   )\t(\S+)/.exec(line) ?? [];
    if (outcome === "FAIL") {
      const text = said.join("\n");
      const detector = /^ThreadSanitizer: CHECK failed: /m.test(text);
      if (!detector || /^\s*--- FAIL|^panic: |WARNING: DATA RACE|\[(build|setup) failed\]/m.test(text + line)) return [];
      packages.push(name);
    }
    if (name !== undefined) said = [];
    else said.push(line);
  }
  return packages;
}
