// SPDX-License-Identifier: MIT OR Apache-2.0
package main

import (
	"fmt"
	"os"

	"example.org/tide/moon"
)

func main() {
	fmt.Println(moon.Phase(len(os.Args) * 10))
	if len(os.Args) > 1 {
		if err := os.WriteFile(os.Args[1], []byte("written\n"), 0o644); err != nil {
			panic(err)
		}
	}
}
