//go:build linux

// Command soak lets some hundred people log in, browse, log out and in again, some of them at computers that they
// share, through the real programs, while things go wrong: the provider is away, slow, or answers nonsense; services
// restart and are killed; keys change; connections break; browsers give up halfway. Everybody knows who they are.
// What the application says about anybody else, one session that nobody ended and that is gone, or a service that
// grows, makes the run fail, with what the browser did before.
//
//	go run ./integration/soak -duration 10m -people 500 -front nginx
//
// It runs on Linux, anywhere in the repository. The services are built with the race detector, which needs a C compiler
// (-race=false does without). The people are made up: their numbers begin with 00, which no Norwegian number does.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// plan says what a run is.
type plan struct {
	duration time.Duration
	people   int
	think    time.Duration // between two things that a person does, on average
	front    string
	replicas int  // of the service; 1 where the front is the service itself
	race     bool // build with the race detector
	faults   int  // that there have to be at least, for up to four times the duration where a machine is busy
	seed     uint64
	keep     bool // the directory with what the programs said
}

var fronts = []string{"nginx", "haproxy", "sidecar", "caddy"}

func main() {
	log.SetFlags(0)
	log.SetPrefix("soak: ")
	p := plan{}
	flag.DurationVar(&p.duration, "duration", 10*time.Minute, "how long things go wrong")
	flag.IntVar(&p.people, "people", 500, "how many people there are, 900 at most")
	flag.DurationVar(&p.think, "think", 6*time.Second, "how long people think between two things that they do, on average")
	flag.StringVar(&p.front, "front", "nginx", "what people talk to: "+strings.Join(fronts, ", "))
	flag.IntVar(&p.replicas, "replicas", 2, "services behind nginx or HAProxy")
	flag.BoolVar(&p.race, "race", true, "build the services with the race detector")
	flag.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "chooses the order of what goes wrong")
	flag.BoolVar(&p.keep, "keep", false, "keep the logs of the programs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := p.run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(r.summary())
	if len(r.failures()) > 0 {
		os.Exit(1)
	}
}

// run is the whole of it: it sets the stage, lets people and faults run, lets the faults end, and looks at what is left.
func (p plan) run(ctx context.Context) (*report, error) {
	if !slices.Contains(fronts, p.front) || p.people < 1 || p.people > 900 || p.duration <= 0 || p.think <= 0 || p.replicas < 1 {
		return nil, fmt.Errorf("the front is one of %v, there are 1 to 900 people and at least one replica, and times are positive", fronts)
	}
	if p.front == "sidecar" || p.front == "caddy" {
		p.replicas = 1
	}
	r := newReport(p)
	s, err := newStage(ctx, p, r)
	if err != nil {
		return nil, err
	}
	defer s.close()
	begin := time.Now()
	hall := newHall(s, r)
	working, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	hall.open(working)
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watch(watching, max(p.duration/200, 500*time.Millisecond))
	}()
	if err := newTrouble(s, r).make(ctx, p.duration); err != nil {
		r.fail("a program could not be started again: %v", err)
	}
	r.lasted = time.Since(begin)
	stopWorking()
	hall.close()
	stopWatching()
	<-watched
	if ctx.Err() == nil {
		hall.lookAtAll(ctx)
	}
	s.end()
	return r, nil
}
