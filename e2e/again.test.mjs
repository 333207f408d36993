import assert from "node:assert/strict";
import { test } from "node:test";
import { failures, flaky } from "./again.mjs";

const check = 'ThreadSanitizer: CHECK failed: tsan_rtl.cpp:346 "((exiting || x)) != (0)" (0x0, 0x0) (tid=2875)';
const fine = ["ok  \texample.com/a\t1.145s", "?   \texample.com/none\t[no test files]"];
const say = (...lines) => [...fine, ...lines, "ok  \texample.com/z\t3.262s", "FAIL", ""].join("\n");
const failed = (name) => [`--- FAIL: ${name} (0.1s)`, "    x_test.go:1: no", `    --- FAIL: ${name}/part (0.1s)`];

test("the packages in which the detector crashed", () => {
  assert.deepEqual(failures(say(check, "FAIL\texample.com/b\t49.761s")), [{ name: "example.com/b", tests: [] }]);
  assert.deepEqual(failures(say(check, "exit status 66", "FAIL\texample.com/b\t2s", "\tindented", check, "FAIL\texample.com/c\t2s")), [
    { name: "example.com/b", tests: [] },
    { name: "example.com/c", tests: [] },
  ]);
});

test("the tests that failed, by their package", () => {
  assert.deepEqual(failures(say(...failed("TestX"), "=== RUN   TestV", ...failed("TestY"), "FAIL", "FAIL\texample.com/b\t2s", ...failed("FuzzZ"), "FAIL", "FAIL\texample.com/c\t2s")), [
    { name: "example.com/b", tests: ["TestX", "TestY"] },
    { name: "example.com/c", tests: ["FuzzZ"] },
  ]);
});

test("what is a fault at any rate is not looked at again, nor is what is beside it", () => {
  for (const reason of [
    [...failed("TestX"), check, "FAIL\texample.com/b\t2s"],
    ["panic: test timed out after 15m0s", "FAIL\texample.com/b\t900s"],
    [...failed("TestX"), "panic: no", "FAIL\texample.com/b\t9s"],
    ["fatal error: concurrent map writes", "FAIL\texample.com/b\t9s"],
    ["WARNING: DATA RACE", check, "FAIL\texample.com/b\t2s"],
    ["WARNING: DATA RACE", ...failed("TestX"), "FAIL\texample.com/b\t2s"],
    ["PASS", "goleak: Errors on successful test run: found unexpected goroutines:", "FAIL\texample.com/b\t2s"],
    ["FAIL\texample.com/b [build failed]"],
    ["exit status 2", "FAIL\texample.com/b\t2s"],
    [...failed("TestX"), "FAIL\texample.com/b\t2s", "exit status 2", "FAIL\texample.com/c\t2s"],
    ["Test1", "Test2", "Test3", "Test4"].flatMap(failed).concat("FAIL\texample.com/b\t2s"),
  ]) {
    assert.deepEqual(failures(say(...reason)), [], reason.join("\n"));
  }
  assert.deepEqual(failures(say()), []);
});

test("the tests of the page that passed only when tried again", () => {
  const rule = "─".repeat(30);
  assert.deepEqual(flaky(`  ok 1\n\n  2 flaky\n    e2e/a.spec.ts:3:25 › a name › and more ${rule}\n    e2e/b.spec.ts:4:1 › other ${rule}\n  77 passed (6.1m)\n`), ["a name, and more", "other"]);
  assert.deepEqual(flaky("  79 passed (6.1m)\n"), []);
});
