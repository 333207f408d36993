// failures is what `go test` has printed of packages that did not pass, as {name, tests}, if all of
// it is worth a second look; none otherwise.
//
// A test of real links and disks can fail because the machine was busy, and the detector of data
// races can itself come to an end (a failed check within ThreadSanitizer's runtime; no tests are
// named then, as the package's are all in doubt). A data race, a leak, a panic or what does not
// compile is a fault at whatever rate it shows, and more than `most` tests do not fail by chance.
// `go test` prints what a package says just before its line.
export function failures(output) {
  const packages = [];
  let said = [];
  for (const line of output.split("\n")) {
    const [, outcome, name] = /^(ok  |FAIL|\?   )\t(\S+)/.exec(line) ?? [];
    if (outcome === "FAIL") {
      const text = said.join("\n");
      if (/^panic: |^fatal error: |WARNING: DATA RACE|^goleak: |\[(build|setup) failed\]/m.test(text + "\n" + line)) return [];
      const tests = [...text.matchAll(/^--- FAIL: (\w+)/gm)].map((m) => m[1]);
      const detector = /^ThreadSanitizer: CHECK failed: /m.test(text);
      if (detector === tests.length > 0) return [];
      packages.push({ name, tests });
    }
    if (name !== undefined) said = [];
    else said.push(line);
  }
  return packages.flatMap((p) => p.tests).length <= most ? packages : [];
}

// flaky are the names of the tests of the page that passed only when Playwright tried them again,
// as its list reporter gives them at its end.
export function flaky(output) {
  const [, list] = /^ +\d+ flaky\n((?: {4}.*\n)+)/m.exec(output.replace(/\x1b\[[\d;]*m/g, "")) ?? [];
  return (list ?? "").split("\n").flatMap((line) => line.split(" › ").slice(1).join(", ").replace(/ ─+$/, "") || []);
}

export const most = 3;
