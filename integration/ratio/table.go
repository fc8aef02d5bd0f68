//go:build linux

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// table is what a run prints.
type table struct{ rows [][]string }

const columns = 7

// heading begins a part, whose rows have these columns.
func (t *table) heading(names ...string) {
	if len(t.rows) > 0 {
		t.rows = append(t.rows, make([]string, columns+1)) // its tabs keep the columns of both parts in line
	}
	t.rows = append(t.rows, names)
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) print(to io.Writer) error {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for _, row := range t.rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(to, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// held says whether a value is within its bar.
func held(value, bar float64, format string) string {
	text := fmt.Sprintf(format, bar)
	if value > bar {
		return text + "  OVER"
	}
	return text + "  ok"
}

// compare loads the targets in turn and adds a row for each. The first is the one that the others' CPU is compared with.
// A bar of 0 is none.
func (b *bench) compare(title string, bar float64, requests int, targets ...*target) error {
	for _, t := range targets {
		if err := t.see(); err != nil {
			return err
		}
		if err := t.load(requests / 2); err != nil {
			return err
		}
		t.forget() // that was to warm up
	}
	for range b.rounds {
		for _, t := range targets {
			if err := t.load(requests); err != nil {
				return err
			}
		}
	}
	b.table.heading(title, "CPU", "ratio", "half of rounds", "bar", "requests/s", "p50", "p99")
	for _, t := range targets {
		cpu, ratio, half, limit := "", "", "", ""
		if t.process != nil {
			cpu = fmt.Sprintf("%.1f µs", float64(median(t.cpu))/1e3)
		}
		if base := targets[0]; t.process != nil && t != base {
			ratios := make([]float64, len(t.cpu))
			for k := range ratios { // a round's samples are neighbours in time
				ratios[k] = float64(t.cpu[k]) / float64(base.cpu[k])
			}
			ratio, half, limit = fmt.Sprintf("%.2f ×", median(ratios)), quartiles(ratios), "none"
			if bar > 0 {
				limit = held(median(ratios), bar, "%.2f")
			}
		}
		slices.Sort(t.latency)
		b.table.row("  "+t.name, cpu, ratio, half, limit, fmt.Sprintf("%.0f", median(t.rate)), milliseconds(t.latency, 50), milliseconds(t.latency, 99))
	}
	return nil
}

func milliseconds(sorted []time.Duration, percent int) string {
	return fmt.Sprintf("%.2f ms", float64(sorted[len(sorted)*percent/100])/1e6)
}

func median[T cmp.Ordered](values []T) T {
	values = slices.Clone(values)
	slices.Sort(values)
	return values[len(values)/2]
}

func quartiles(values []float64) string {
	values = slices.Clone(values)
	slices.Sort(values)
	return fmt.Sprintf("%.2f to %.2f", values[len(values)/4], values[len(values)*3/4])
}
