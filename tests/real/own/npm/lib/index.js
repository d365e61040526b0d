// SPDX-License-Identifier: MIT OR Apache-2.0
const { angle } = require('addon');
exports.angle = angle;
exports.faces = () => [...Array(12).keys()].map((hours) => angle(hours, 0));
