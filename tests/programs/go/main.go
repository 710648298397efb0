// Small Go program whose names have everything that Go's names can have.
package main

import (
	"fmt"
	"os"
	"sort"
)

type account struct{ balance int }

//go:noinline
func (a *account) deposit(amount int) {
	a.balance += amount
}

type byBalance []account

func (b byBalance) Len() int           { return len(b) }
func (b byBalance) Less(i, j int) bool { return b[i].balance < b[j].balance }
func (b byBalance) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }

//go:noinline
func largest[T int | float64](values []T) T {
	best := values[0]
	for _, value := range values {
		if value > best {
			best = value
		}
	}
	return best
}

func main() {
	accounts := make(byBalance, 3)
	add := func(i int) {
		accounts[i].deposit(len(os.Args) * i)
	}
	for i := range accounts {
		add(i)
	}
	sort.Sort(accounts)
	fmt.Println(largest([]int{1, 2}), largest([]float64{1, 2}), accounts[0].balance, extra())
}
