// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once
#include <string>
std::string phase_of(unsigned day);
