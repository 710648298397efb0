//go:build cgo

package main

// static int from_c(void) { return 42; }
import "C"

func extra() int { return int(C.from_c()) }
