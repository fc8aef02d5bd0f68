//go:build linux

// Command ratio measures what a check costs, as ratios taken in one run on one machine: the CPU time that our process
// spends on one request, against a process in its place that does nothing but answer; behind real proxies, with what the
// client sees of it beside; and what the service needs when nobody asks.
//
// Servers are processes of their own with one core for Go (GOMAXPROCS=1); the load comes from this process. They take
// turns, round by round, and the median of the rounds' ratios counts. What the machine does besides weighs on both sides.
// It runs on Linux, in the root of the repository. nginx, HAProxy and Apache are measured where they are installed.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
)

// bench is one run.
type bench struct {
	*lab
	rounds   int
	requests int // a round and server
	sockets  int
	table    table
}

// measure is one part of a run.
type measure struct {
	name string
	run  func(*bench) error
}

func measures() []measure {
	return []measure{
		{"traefik", (*bench).traefik},
		{"cookies", (*bench).manyCookies},
		{"envoy", (*bench).envoy},
		{"grpc", (*bench).grpc},
		{"nginx", (*bench).nginx},
		{"haproxy", (*bench).haproxy},
		{"apache", (*bench).apache},
		{"caddy", (*bench).caddy},
		{"websockets", (*bench).webSockets},
		{"idle", (*bench).idle},
	}
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("ratio: ")
	serve := flag.String("serve", "", "serve a bare handler on this address; for the benchmark itself")
	as := flag.String("as", "202", "with -serve: 202, yes (200 with X-Vipps-Auth), grpc, fcgi, or the address to be a bare proxy to")
	var names []string
	for _, m := range measures() {
		names = append(names, m.name)
	}
	all := strings.Join(names, ",")
	only := flag.String("only", all, "what to measure")
	skip := flag.String("skip", "", "what of it to leave out")
	b := &bench{}
	flag.IntVar(&b.rounds, "rounds", 31, "rounds; the median of their ratios counts")
	flag.IntVar(&b.requests, "requests", 6_000, "requests a round and server; a half to an eighth of it through a proxy")
	flag.IntVar(&b.sockets, "sockets", 1_000, "idle WebSockets")
	scopes := flag.String("scopes", "openid", "scopes, by which the default headers are more or fewer")
	flag.Parse()
	if *serve != "" {
		log.Fatal(serveBare(*serve, *as))
	}
	chosen, left := strings.Split(*only, ","), strings.Split(*skip, ",")
	for _, name := range slices.Concat(chosen, left) {
		if name != "" && !slices.Contains(names, name) {
			log.Fatalf("%q is none of %s", name, all)
		}
	}
	chosen = slices.DeleteFunc(chosen, func(name string) bool { return slices.Contains(left, name) })
	if err := b.run(*scopes, chosen); err != nil {
		log.Fatal(err)
	}
}

func (b *bench) run(scopes string, chosen []string) error {
	dir, err := os.MkdirTemp("", "vippsauth-ratio-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if b.lab, err = newLab(dir, scopes); err != nil {
		return err
	}
	defer b.close()
	for _, m := range measures() {
		if !slices.Contains(chosen, m.name) {
			continue
		}
		log.Println("measuring", m.name)
		if err := m.run(b); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	fmt.Printf("scopes %q, %d rounds; CPU is that of the process named, a request\n", scopes, b.rounds)
	return b.table.print(os.Stdout)
}
