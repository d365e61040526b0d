#!/usr/bin/env node
// SPDX-License-Identifier: MIT OR Apache-2.0
import { greeting } from './index.mjs';
console.log(greeting(Number(process.argv[2])));
