// SPDX-License-Identifier: MIT OR Apache-2.0
export const greeting = (hours) => (hours < 12 ? 'good morning' : 'good evening');
