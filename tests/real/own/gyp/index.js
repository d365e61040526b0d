// SPDX-License-Identifier: MIT OR Apache-2.0
module.exports = require('./build/Release/moon.node');
