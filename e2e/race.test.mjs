import assert from "node:assert/strict";
import { test } from "node:test";
import { crashed } from "./race.mjs";

const check = 'ThreadSanitizer: CHECK failed: tsan_rtl.cpp:346 "((exiting || x)) != (0)" (0x0, 0x0) (tid=2875)';
const fine = ["ok  \texample.com/a\t1.145s", "?   \texample.com/none\t[no test files]"];
const say = (...lines) => [...fine, ...lines, "ok  \texample.com/z\t3.262s", "FAIL", ""].join("\n");

test("the packages in which the detector crashed", () => {
  assert.deepEqual(crashed(say(check, "FAIL\texample.com/b\t49.761s")), ["example.com/b"]);
  assert.deepEqual(crashed(say(check, "exit status 66", "FAIL\texample.com/b\t2s", "\tindented", check, "FAIL\texample.com/c\t2s")), ["example.com/b", "example.com/c"]);
});

test("what failed for a reason of its own is not tested again, nor is what is beside it", () => {
  for (const reason of [
    ["--- FAIL: TestX (0.1s)", "    x_test.go:1: no", "FAIL", "FAIL\texample.com/b\t2s"],
    ["--- FAIL: TestX (0.1s)", check, "FAIL\texample.com/b\t2s"],
    ["panic: test timed out after 15m0s", "FAIL\texample.com/b\t900s"],
    ["WARNING: DATA RACE", check, "FAIL\texample.com/b\t2s"],
    ["FAIL\texample.com/b [build failed]"],
    ["exit status 2", "FAIL\texample.com/b\t2s"],
    [check, "FAIL\texample.com/b\t2s", "--- FAIL: TestY (0.1s)", "FAIL\texample.com/c\t2s"],
  ]) {
    assert.deepEqual(crashed(say(...reason)), [], reason.join("\n"));
  }
  assert.deepEqual(crashed(say()), []);
});
