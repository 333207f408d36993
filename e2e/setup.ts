// Once for a run of the tests: the program is compiled, and removed afterwards.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "./nodes";

export default function setup(): () => void {
  const dir = mkdtempSync(join(tmpdir(), "shoal-e2e-bin-"));
  process.env.SHOAL_E2E_BINARY = build(dir);
  return () => rmSync(dir, { recursive: true, force: true });
}
