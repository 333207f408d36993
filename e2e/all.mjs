// npm test: everything there is to test, on a fresh machine, in the order in
// which a mistake shows soonest. It installs what is missing: the npm packages,
// and Chromium and the programs of the NAT lab where apt can. `npm test -- NAME…`
// runs only the steps whose name contains one of the words.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { failures, flaky, most } from "./again.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

// slow are tests that take four to twenty times as long with the race detector: most are in one
// goroutine; TestScripts starts hundreds of short processes, TestWideNetwork hundreds of nodes, and
// those of p2p/paxos play hundreds of games, of which smaller tests show the detector the same. They
// run without it, those of p2p/dht and p2p/ranges as simulations.
const slow = {
  ".": ["TestScripts"],
  "./p2p/delta": ["TestManyWindows"],
  "./p2p/dht": ["TestWideNetwork"],
  "./p2p/folder/reconcile": ["TestNothingIsLost"],
  "./p2p/folder/replica": ["TestGather"],
  "./p2p/member": ["TestLargeHolders", "TestMoreThanTwoThousand"],
  "./p2p/paxos": ["TestAnyWeather", "TestRollbacks", "TestWithoutFounder"],
  "./p2p/ranges": ["TestLargeSegments"],
  "./p2p/search": ["TestWordsGo"],
  "./server": ["TestGuards", "TestRequestsAsTheLibrary", "TestRandomRequestsAsTheLibrary"],
  "./server/command": ["TestPartIsTheWhole"],
};

// simulated are packages of which all tests run once more without the detector.
const simulated = ["./p2p/dht", "./p2p/ranges"];

const steps = [
  ["install", install],
  ["go format", () => quiet("go tool gofumpt", ["go", "tool", "gofumpt", "-l", ...goDirs()])],
  ["go vet", () => run("go", "vet", "./...")],
  ["go vet elsewhere", elsewhere],
  ["go staticcheck", () => run("go", "tool", "staticcheck", "./...")],
  ["go errcheck", () => run("go", "tool", "errcheck", "-ignoretests", "-ignoregenerated", "-exclude", "e2e/errcheck.txt", "./...")],
  ["go generated code", () => unchanged(["server/api/api.gen.go", "server/api/requests.gen.json"], () => run("go", "generate", "./server/api"))],
  ["go modules", () => unchanged(["go.mod", "go.sum"], () => run("go", "mod", "tidy"))],
  ["web lint", () => run("npm", "run", "--silent", "lint")],
  ["web types", () => run("npm", "run", "--silent", "check")],
  ["e2e types", () => run("npx", "--no-install", "tsc", "--noEmit", "-p", "e2e/tsconfig.json")],
  ["e2e unit tests", () => run("node", "--test", "e2e/again.test.mjs")],
  ["web unit tests", () => run("npm", "run", "--silent", "test:unit")],
  ["web generated types", () => unchanged(["web/src/api/schema.gen.ts"], () => run("npm", "run", "--silent", "generate"))],
  ["web dist", () => unchanged(["web/dist"], () => run("npm", "run", "--silent", "build"))],
  ["go test -race", () => goTest("-race", "-timeout", "15m", "-skip", only(Object.values(slow).flat()), "./...")],
  ["go test", () => goTest("-timeout", "10m", "-run", only(Object.values(slow).flat()), ...Object.keys(slow).filter((p) => !simulated.includes(p)))],
  ["simulations", simulations],
  ["crash", () => goTest("-count=1", "-tags", "fault", "-timeout", "10m", "-v", "./e2e/crash")],
  ["nat", () => goTest("-count=1", "-tags", "nat", "-timeout", "12m", "-parallel", "3", "-v", "./e2e/nat")],
  ["e2e", endToEnd],
];

const wanted = process.argv.slice(2);
const results = [];
for (const [name, step] of steps) {
  if (name !== "install" && wanted.length > 0 && !wanted.some((w) => name.includes(w))) continue;
  console.log(`\n── ${name}`);
  const began = Date.now();
  let result;
  try {
    result = (await step()) ?? { outcome: "passed" };
  } catch (err) {
    console.error(String(err.message ?? err));
    result = { outcome: "failed" };
  }
  results.push({ name, seconds: (Date.now() - began) / 1000, ...result });
}

console.log("\n── summary");
for (const r of results) console.log(`${r.outcome.padEnd(8)} ${r.seconds.toFixed(1).padStart(7)} s  ${r.name}${r.what ? `: ${r.what}` : ""}`);
const count = (o) => results.filter((r) => r.outcome === o).length;
const others = ["unsteady", "skipped"].filter((o) => count(o) > 0).map((o) => `, ${count(o)} ${o}`);
console.log(`${count("passed")} passed, ${count("failed")} failed${others.join("")}`);
process.exit(count("failed") > 0 ? 1 : 0);

// run executes a command and fails with its name when it fails.
function run(command, ...args) {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error) throw new Error(`${command}: ${error.message}`);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: exit ${status}`);
}

// only is the pattern of some tests.
function only(tests) {
  return `^(${tests.join("|")})$`;
}

// goTest runs `go test`. What failed and is worth a second look (again.mjs) gets it, alone on the
// machine: a test has to pass three times, which is told as unsteady, with its name, to be mended;
// the tests of a package in which the detector crashed, once.
async function goTest(...args) {
  const { status, output } = await heard("go", "test", ...args);
  if (status === 0) return;
  const again = failures(output);
  if (again.length === 0) throw new Error(`go test ${args.join(" ")}: exit ${status}`);
  const flags = args.filter((a, i) => !a.startsWith("./") && !["-run", "-skip", "-count=1"].includes(a) && !["-run", "-skip"].includes(args[i - 1]));
  const skip = args.includes("-skip") ? ["-skip", args[args.indexOf("-skip") + 1]] : [];
  for (const { name, tests } of again) {
    console.log(`once more: ${name} ${tests.join(" ")}`);
    run("go", "test", ...flags, ...(tests.length > 0 ? ["-count=3", "-run", only(tests)] : skip), name);
  }
  return unsteady(again.map(({ name, tests }) => tests.join(", ") || `the race detector in ${name}`).join(", "));
}

// unsteady is the outcome of a step in which something passed only when it was tried again.
function unsteady(what) {
  return { outcome: "unsteady", what };
}

// heard runs a command, and returns what it prints, which is shown as well.
function heard(command, ...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["inherit", "pipe", "pipe"] });
    let output = "";
    const take = (to) => (part) => {
      to.write(part);
      output += part;
    };
    child.stdout.setEncoding("utf8").on("data", take(process.stdout));
    child.stderr.setEncoding("utf8").on("data", take(process.stderr));
    child.on("error", (err) => reject(new Error(`${command}: ${err.message}`)));
    child.on("close", (status) => resolve({ status, output }));
  });
}

// quiet is run for a program that prints what is wrong and exits 0.
function quiet(name, [command, ...args]) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0 || stdout.trim() !== "") throw new Error(`${name}:\n${stdout}${stderr}`);
}

// elsewhere looks at what is to run on another system, and where an int has 32 bits. The tests of
// p2p/node open a database, which takes a C compiler for the other system.
function elsewhere() {
  const { status, stdout, stderr } = spawnSync("go", ["list", "./p2p/..."], { encoding: "utf8" });
  if (status !== 0) throw new Error(`go list: ${stderr}`);
  const pure = stdout.trim().split("\n").filter((p) => !p.endsWith("/p2p/node"));
  for (const other of [{ GOOS: "windows", GOARCH: "amd64" }, { GOOS: "linux", GOARCH: "arm" }]) {
    const env = { ...process.env, CGO_ENABLED: "0", ...other };
    for (const args of [["vet", ...pure], ["build", "./p2p/node"]]) {
      if (spawnSync("go", args, { stdio: "inherit", env }).status !== 0) throw new Error(`go ${args[0]} for ${other.GOOS}/${other.GOARCH}`);
    }
  }
}

// unchanged fails when step changes what the given files and folders hold: they
// are committed, and others build from them.
function unchanged(paths, step) {
  const before = digest(paths);
  step();
  if (digest(paths) !== before) throw new Error(`${paths.join(", ")}: not what the sources give; commit the new content`);
}

function digest(paths) {
  const hash = createHash("sha256");
  const visit = (path) => {
    if (!existsSync(path)) return hash.update(`${path} is missing\n`);
    if (!statSync(path).isDirectory()) return hash.update(`${path} ${createHash("sha256").update(readFileSync(path)).digest("hex")}\n`);
    for (const name of readdirSync(path).sort()) visit(join(path, name));
  };
  paths.forEach(visit);
  return hash.digest("hex");
}

function goDirs() {
  return ["main.go", "migrations", "p2p", "server", "store", "web/embed.go", "e2e"];
}

// install brings the npm packages in line with the lockfile, once, and gets the
// programs of the NAT lab.
function install() {
  installLab();
  const stamp = "node_modules/.lock-digest";
  const lock = digest(["package-lock.json"]);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  run("npm", "ci", "--no-audit", "--no-fund");
  writeFileSync(stamp, lock);
}

// simulations are what takes too long with the race detector, or what it cannot run.
async function simulations() {
  const parts = [
    await goTest("-timeout", "10m", ...simulated),
    await goTest("-timeout", "5m", "-run", "^TestHostileFiles$", "./p2p/extract"),
    await goTest("-timeout", "5m", "-run", "^TestLargeNetwork$", "./p2p/node"),
  ].filter(Boolean);
  if (parts.length > 0) return unsteady(parts.map((p) => p.what).join(", "));
}

async function endToEnd() {
  const chromium = findChromium();
  if (!chromium) {
    console.log("skipped: there is no Chromium here and apt cannot install one; set SHOAL_CHROMIUM to a browser's path");
    return { outcome: "skipped" };
  }
  process.env.SHOAL_CHROMIUM = chromium;
  const { status, output } = await heard("npx", "--no-install", "playwright", "test", "--config", "e2e/playwright.config.ts");
  if (status !== 0) throw new Error(`playwright: exit ${status}`);
  const again = flaky(output);
  if (again.length > most) throw new Error(`playwright: ${again.length} tests passed only when tried again`);
  if (again.length > 0) return unsteady(again.join(", "));
}

function findChromium() {
  const known = () =>
    [process.env.SHOAL_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((p) => p && existsSync(p));
  if (!known() && canInstall()) apt("chromium");
  return known();
}

// installLab gets what e2e/nat builds its networks with. Its tests say what they
// lack, and are skipped: that there is no network to get it from fails nothing.
function installLab() {
  const there = (program) => ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].some((dir) => existsSync(join(dir, program)));
  if (["ip", "tc", "nft", "miniupnpd", "turnserver"].every(there) || !canInstall()) return;
  try {
    apt("iproute2", "nftables", "miniupnpd-nftables", "coturn");
  } catch (err) {
    console.log(`no NAT lab: ${err.message}`);
  }
}

function canInstall() {
  return process.platform === "linux" && process.getuid() === 0 && existsSync("/usr/bin/apt-get");
}

// apt installs packages of the system. They ask no questions.
function apt(...packages) {
  process.env.DEBIAN_FRONTEND = "noninteractive";
  run("apt-get", "update", "-qq");
  run("apt-get", "install", "-y", "-qq", "--no-install-recommends", ...packages);
}
