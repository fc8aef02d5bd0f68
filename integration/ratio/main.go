//go:build linux

// Command ratio measures what a check costs, as ratios taken in one run on one machine: the CPU time that the
// server spends on one request, against a server that does nothing but answer.
//
// Servers are processes of their own with one core for Go (GOMAXPROCS=1); the load comes from this process. Every
// server answers the same bytes of request, in turn and several times over, and the medians are compared. What the
// machine does besides weighs on both sides.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("ratio: ")
	serve := flag.String("serve", "", "serve the bare handler on this address; for the benchmark itself")
	to := flag.String("to", "", "with -serve: serve a bare proxy to this address instead")
	sockets := flag.Int("websockets", 0, "measure the memory of so many idle WebSockets, and nothing else")
	serveGRPC := flag.String("serve-grpc", "", "serve the bare gRPC service on this address; for the benchmark itself")
	rounds := flag.Int("rounds", 31, "rounds; the median of their ratios counts")
	requests := flag.Int("requests", 8_000, "requests a round and server")
	scopes := flag.String("scopes", "openid", "scopes, by which the default headers are more or fewer")
	skipCaddy := flag.Bool("skip-caddy", false, "leave Caddy out")
	flag.Parse()
	switch {
	case *serve != "" && *to != "":
		log.Fatal(serveProxy(*serve, *to))
	case *serve != "":
		serveBare(*serve)
		return
	case *serveGRPC != "":
		serveBareGRPC(*serveGRPC)
		return
	case *sockets > 0:
		if err := websockets(*sockets, *scopes); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := run(*rounds, *requests, *scopes, *skipCaddy); err != nil {
		log.Fatal(err)
	}
}

func run(rounds, requests int, scopes string, skipCaddy bool) error {
	dir, err := os.MkdirTemp("", "vippsauth-ratio-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	lab, err := newLab(dir, scopes, !skipCaddy)
	if err != nil {
		return err
	}
	defer lab.close()

	fmt.Printf("CPU per request, servers with one core, load from another process; scopes %q:\n", scopes)
	bare := target{name: "bare net/http handler, 202", process: lab.bare, requests: [][]byte{lab.check(lab.bareAddr, lab.cookies[0])}, status: "202"}
	warm := target{name: "authz/forward-auth, warm session", process: lab.service, requests: [][]byte{lab.check(lab.serviceAddr, lab.cookies[0])}, status: "200"}
	many := target{name: "authz/forward-auth, 10,000 cookies in turn", process: lab.service, status: "200"}
	for _, cookie := range lab.cookies {
		many.requests = append(many.requests, lab.check(lab.serviceAddr, cookie))
	}
	many10k := bare
	many10k.name = "bare handler, the same 10,000 requests"
	many10k.requests = nil
	for _, cookie := range lab.cookies {
		many10k.requests = append(many10k.requests, lab.check(lab.bareAddr, cookie))
	}
	if err := compare(rounds, requests, []*target{&bare, &warm}, "at most 1.35"); err != nil {
		return err
	}
	if err := compare(rounds, requests, []*target{&many10k, &many}, "at most 1.80"); err != nil {
		return err
	}
	if err := compareEnvoy(lab, rounds, requests); err != nil {
		return err
	}
	if !skipCaddy {
		plain := target{name: "Caddy reverse_proxy", process: lab.caddy, requests: [][]byte{lab.page(lab.plainAddr, lab.caddyCookie)}, status: "200"}
		module := target{name: "Caddy reverse_proxy with vipps_auth", process: lab.caddy, requests: [][]byte{lab.page(lab.moduleAddr, lab.caddyCookie)}, status: "200"}
		if err := compare(rounds, requests/2, []*target{&plain, &module}, "at most 1.10"); err != nil {
			return err
		}
	}
	return lab.idle()
}

// compare loads the targets in turn, the first of them being the base, and prints each one's ratio to it.
func compare(rounds, requests int, targets []*target, bar string) error {
	for _, t := range targets {
		if err := t.see(); err != nil {
			return err
		}
		if _, err := t.load(requests / 4); err != nil { // warm up
			return err
		}
	}
	for range rounds {
		for _, t := range targets {
			cpu, err := t.load(requests)
			if err != nil {
				return err
			}
			t.samples = append(t.samples, cpu)
		}
	}
	for i, t := range targets {
		line := fmt.Sprintf("  %-46s %8s", t.name, median(t.samples).Round(10*time.Nanosecond))
		if i > 0 {
			ratios := make([]float64, len(t.samples))
			for k := range ratios { // a round's samples are neighbours in time
				ratios[k] = float64(t.samples[k]) / float64(targets[0].samples[k])
			}
			line += fmt.Sprintf("   %.2f x  (%s; half of the rounds within %s)", median(ratios), bar, quartiles(ratios))
		}
		fmt.Println(line)
	}
	return nil
}
