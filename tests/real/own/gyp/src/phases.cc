// SPDX-License-Identifier: MIT OR Apache-2.0
#include "phases.h"
#include "names.h"

// A month of 28 days, in four weeks.
std::string phase_of(unsigned day) { return NAMES[day % 28 / 7]; }
