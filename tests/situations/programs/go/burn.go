// Names of Go: a method, a generic function, a closure.
package main

import (
	"os"
	"time"
)

type cart struct{ items uint64 }

//go:noinline
func leaf[T uint64 | uint32](x T) T {
	for i := T(0); i < 20000000; i++ {
		x = (x^i)*1664525 + 1
	}
	return x
}

//go:noinline
func (c *cart) middle(x uint64) uint64 {
	c.items = leaf(x) + 1
	return c.items
}

//go:noinline
func outer(call func(uint64) uint64) uint64 {
	return call(1) + 2
}

func main() {
	os.Stdout.WriteString("READY\n")
	c := &cart{}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		outer(func(x uint64) uint64 { return c.middle(x) + 1 })
	}
}
