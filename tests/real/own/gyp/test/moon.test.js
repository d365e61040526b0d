// SPDX-License-Identifier: MIT OR Apache-2.0
const assert = require('node:assert');
const { test } = require('node:test');
const moon = require('..');

test('phases', () => {
  assert.deepStrictEqual([0, 7, 14, 27, 28].map((day) => moon.phase(day)), ['new', 'waxing', 'full', 'waning', 'new']);
  assert.throws(() => moon.phase('today'), TypeError);
});
