//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is what a service says of itself.
type sample struct {
	service  int
	life, at time.Time // since when the process runs, and now

	rss, goroutines, fds, silentPaused float64
}

// measure reads a service's metrics.
func measure(ctx context.Context, url string) (m sample, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return m, false
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return m, false
	}
	defer w.Body.Close()
	fields := map[string]*float64{
		"process_resident_memory_bytes": &m.rss, "go_goroutines": &m.goroutines, "process_open_fds": &m.fds,
		"vippsauth_silent_paused_total": &m.silentPaused,
	}
	lines := bufio.NewScanner(w.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if field := fields[name]; field != nil {
			*field, _ = strconv.ParseFloat(value, 64) // zero is noticed below
		}
	}
	return m, lines.Err() == nil && m.rss > 0 && m.goroutines > 0 && m.fds > 0
}

const (
	judgedFrom = 60 * time.Second // a life shorter than that says nothing of growth
	warmUp     = 0.25             // of a life: caches fill, pools grow, the race detector learns
)

// judge compares the first third with the last third of each service's longest life, after a warm-up. What counts is the
// floor of each, which a leak raises: peaks are those of faults, when connections pile up, and of turns that a front takes.
func (r *report) judge(samples []sample, services []*program) {
	for n, p := range services {
		longest := longestLife(samples, n)
		if len(longest) == 0 {
			r.curve("%s: no metrics", p.name)
			if r.lasted > judgedFrom {
				r.fail("%s showed no metrics", p.name)
			}
			continue
		}
		lasted := longest[len(longest)-1].at.Sub(longest[0].at)
		rest := longest[int(warmUp*float64(len(longest))):]
		third := max(1, len(rest)/3)
		first, last := floor(rest[:third]), floor(rest[len(rest)-third:])
		flat := last.rss <= 1.3*first.rss+24e6 && last.goroutines <= 1.3*first.goroutines+40 && last.fds <= 1.3*first.fds+40
		verdict := "flat"
		switch {
		case lasted < max(judgedFrom, r.lasted/2):
			verdict = "too short a life to say"
		case !flat:
			verdict = "GROWS"
		}
		text := fmt.Sprintf("%s for %s, first third → last third: memory %.1f → %.1f MB, goroutines %.0f → %.0f, descriptors %.0f → %.0f: %s",
			p.name, lasted.Round(time.Second), first.rss/1e6, last.rss/1e6, first.goroutines, last.goroutines, first.fds, last.fds, verdict)
		if paused := longest[len(longest)-1].silentPaused; paused > 0 {
			text += fmt.Sprintf(" (silent login paused %.0f times)", paused)
		}
		r.curve("%s", text)
		if verdict == "GROWS" {
			r.fail("%s", text)
		}
	}
}

func (r *report) curve(format string, args ...any) {
	r.curves = append(r.curves, fmt.Sprintf(format, args...))
}

// longestLife gives the samples of one service between two starts, of those lives the longest.
func longestLife(samples []sample, service int) []sample {
	var longest, life []sample
	for _, m := range samples {
		if m.service != service {
			continue
		}
		if len(life) > 0 && !life[0].life.Equal(m.life) {
			life = nil
		}
		if life = append(life, m); len(life) > len(longest) {
			longest = life
		}
	}
	return longest
}

// floor is what a service has at its quiet moments: a fifth of the samples are below.
func floor(samples []sample) sample {
	low := func(of func(sample) float64) float64 {
		var values []float64
		for _, s := range samples {
			values = append(values, of(s))
		}
		slices.Sort(values)
		return values[len(values)/5]
	}
	return sample{
		rss: low(func(s sample) float64 { return s.rss }), goroutines: low(func(s sample) float64 { return s.goroutines }), fds: low(func(s sample) float64 { return s.fds }),
	}
}
