// npm test: everything there is to test, on a fresh machine, in the order in
// which a mistake shows soonest. It installs what is missing: the npm packages,
// and Chromium and the programs of the NAT lab where apt can. `npm test -- NAME…`
// runs only the steps whose name contains one of the words.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { crashed } from "./race.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

// slow are tests that take four to twenty times as long with the race detector: most are in one
// goroutine; TestScripts starts hundreds of short processes, and TestWideNetwork hundreds of nodes,
// which smaller tests show to the detector. They run without it, that of p2p/dht as a simulation.
const slow = {
  ".": ["TestScripts"],
  "./p2p/dht": ["TestWideNetwork"],
  "./p2p/folder/reconcile": ["TestNothingIsLost"],
  "./p2p/folder/replica": ["TestGather"],
  "./p2p/search": ["TestWordsGo"],
  "./server": ["TestGuards", "TestRequestsAsTheLibrary", "TestRandomRequestsAsTheLibrary"],
  "./server/command": ["TestPartIsTheWhole"],
};

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
  ["e2e unit tests", () => run("node", "--test", "e2e/race.test.mjs")],
  ["web unit tests", () => run("npm", "run", "--silent", "test:unit")],
  ["web generated types", () => unchanged(["web/src/api/schema.gen.ts"], () => run("npm", "run", "--silent", "generate"))],
  ["web dist", () => unchanged(["web/dist"], () => run("npm", "run", "--silent", "build"))],
  ["go test -race", () => raced(["-skip", only(Object.values(slow).flat()), "./..."])],
  ["go test", () => run("go", "test", "-timeout", "10m", "-run", only(Object.values(slow).flat()), ...Object.keys(slow).filter((p) => p !== "./p2p/dht"))],
  ["simulations", simulations],
  ["crash", () => run("go", "test", "-count=1", "-tags", "fault", "-timeout", "10m", "-v", "./e2e/crash")],
  ["nat", () => run("go", "test", "-count=1", "-tags", "nat", "-timeout", "12m", "-parallel", "3", "-v", "./e2e/nat")],
  ["e2e", endToEnd],
];

const wanted = process.argv.slice(2);
const results = [];
for (const [name, step] of steps) {
  if (name !== "install" && wanted.length > 0 && !wanted.some((w) => name.includes(w))) continue;
  console.log(`\n── ${name}`);
  const began = Date.now();
  let outcome;
  try {
    outcome = (await step()) ?? "passed";
  } catch (err) {
    console.error(String(err.message ?? err));
    outcome = "failed";
  }
  results.push({ name, outcome, seconds: (Date.now() - began) / 1000 });
}

console.log("\n── summary");
for (const r of results) console.log(`${r.outcome.padEnd(8)} ${r.seconds.toFixed(1).padStart(7)} s  ${r.name}`);
const count = (o) => results.filter((r) => r.outcome === o).length;
const skipped = count("skipped") > 0 ? `, ${count("skipped")} skipped` : "";
console.log(`${count("passed")} passed, ${count("failed")} failed${skipped}`);
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

// raced tests packages with the race detector. Where the detector itself crashes, which says
// nothing of what it was to look at, the package is tested once more.
async function raced(args) {
  const test = ["test", "-race", "-timeout", "15m"];
  const { status, output } = await heard("go", ...test, ...args);
  if (status === 0) return;
  const again = crashed(output);
  if (again.length === 0) throw new Error(`go ${test.join(" ")}: exit ${status}`);
  console.log(`the race detector has crashed; once more: ${again.join(" ")}`);
  run("go", ...test, ...args.filter((a) => a !== "./..."), ...again);
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
function simulations() {
  run("go", "test", "-timeout", "10m", "./p2p/dht", "./p2p/ranges");
  run("go", "test", "-timeout", "5m", "-run", "^TestHostileFiles$", "./p2p/extract");
  run("go", "test", "-timeout", "5m", "-run", "^TestLargeNetwork$", "./p2p/node");
}

function endToEnd() {
  const chromium = findChromium();
  if (!chromium) {
    console.log("skipped: there is no Chromium here and apt cannot install one; set SHOAL_CHROMIUM to a browser's path");
    return "skipped";
  }
  process.env.SHOAL_CHROMIUM = chromium;
  run("npx", "--no-install", "playwright", "test", "--config", "e2e/playwright.config.ts");
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
