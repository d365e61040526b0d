// SPDX-License-Identifier: MIT OR Apache-2.0

// Package moon tells when the moon is full.
package moon

import (
	_ "embed"
	"strings"
)

//go:generate sh -c "printf 'new\nhalf\nfull\n' > phases.txt"
//go:embed phases.txt
var phases string

// Phase names the phase on a day of the moon's month.
func Phase(day int) string {
	names := strings.Fields(phases)
	return names[day%30/10]
}
