// SPDX-License-Identifier: MIT OR Apache-2.0
const assert = require('node:assert');
const { test } = require('node:test');
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { Worker } = require('node:worker_threads');
const face = require('..');

const out = path.join(__dirname, '..', 'out');

test('the hands', () => {
  assert.strictEqual(face.angle(3, 0), 90);
  assert.strictEqual(face.angle(9, 30), 105);
  assert.throws(() => face.angle('noon'), TypeError);
});

test('modules are found where the links lead', () => {
  assert.strictEqual(require.resolve('addon'), path.join(__dirname, '..', 'addon', 'index.js'));
});

test('files, promised and streamed', async () => {
  const dir = await fs.promises.mkdtemp(path.join(out, 'face-'));
  await Promise.all(face.faces().map((angle, hours) => fs.promises.writeFile(path.join(dir, `${hours}`), `${angle}\n`)));
  const names = (await fs.promises.readdir(dir)).map(Number).sort((a, b) => a - b);
  assert.deepStrictEqual(names, [...Array(12).keys()]);
  await fs.promises.cp(dir, `${dir}.copy`, { recursive: true });
  fs.renameSync(`${dir}.copy`, path.join(out, 'copy'));
  assert.strictEqual(fs.readFileSync(path.join(out, 'copy', '6'), 'utf8'), '180\n');
  await new Promise((resolve, reject) =>
    fs.createReadStream(path.join(dir, '3')).pipe(fs.createWriteStream(path.join(out, 'stream'))).on('finish', resolve).on('error', reject));
  assert.strictEqual(fs.statSync(path.join(out, 'stream')).size, 3);
  fs.rmSync(dir, { recursive: true });
  fs.rmSync(path.join(out, 'copy'), { recursive: true });
});

test('a program of a package', () => {
  const bin = path.join(__dirname, '..', 'node_modules', '.bin', 'greet');
  assert.strictEqual(execFileSync(bin, ['9'], { encoding: 'utf8' }), 'good morning\n');
});

test('a thread loads the module too', async () => {
  const worker = new Worker("const {angle} = require('addon'); require('worker_threads').parentPort.postMessage(angle(6, 0))",
    { eval: true });
  assert.strictEqual(await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject)), 180);
});
