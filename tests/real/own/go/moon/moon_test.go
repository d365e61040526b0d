// SPDX-License-Identifier: MIT OR Apache-2.0
package moon

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPhase(t *testing.T) {
	if got := Phase(25); got != "full" {
		t.Fatal(got)
	}
}

func TestFiles(t *testing.T) {
	dir, err := os.MkdirTemp(".", "moon")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "a")
	if err := os.WriteFile(name, []byte("x"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name, name+"b"); err != nil {
		t.Fatal(err)
	}
	stat, err := os.Stat(name + "b")
	if err != nil || stat.Size() != 1 || stat.Mode().Perm() != 0o640 {
		t.Fatal(stat, err)
	}
}
