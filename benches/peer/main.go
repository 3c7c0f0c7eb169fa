// Peer is the plain alternative to Sluice: a registration service and a mail worker as a tutorial writes them.
//
// It is here to be measured beside Sluice, and is written as a competent developer would after such a tutorial: connections are
// kept, workers run at the same time, nothing is slow on purpose. What it leaves to luck is listed in README.md.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
)

const queue = "email_queue"

// task is what crosses the queue.
type task struct {
	Email    string `json:"email"`
	Username string `json:"username"`
}

func main() {
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		log.Fatal(serve())
	case len(os.Args) == 2 && os.Args[1] == "work":
		log.Fatal(work())
	case len(os.Args) > 2 && os.Args[1] == "river":
		runRiver(os.Args[2:])
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: peer serve | peer work | peer river work | peer river enqueue COUNT")
	os.Exit(64)
}

func env(name, otherwise string) string {
	if value, set := os.LookupEnv(name); set {
		return value
	}
	return otherwise
}

func number(name string, otherwise int) int {
	value, err := strconv.Atoi(env(name, strconv.Itoa(otherwise)))
	if err != nil {
		log.Fatalf("%s is not a number: %v", name, err)
	}
	return value
}
