package main

import (
	"slices"
	"strings"
)

// didYouMean suggests the known name closest to an unknown one.
func didYouMean(name string, known []string) string {
	if name == envPrefix+strings.ToUpper(sitesKey) || name == envPrefix+strings.ToUpper(policiesKey) {
		return "sites and policies are keys of the --config file only"
	}
	short := make([]string, 0, len(known)) // what all variables begin with says nothing about which one is meant
	for _, k := range known {
		short = append(short, strings.TrimPrefix(k, envPrefix))
	}
	if best := closest(strings.TrimPrefix(name, envPrefix), short); best != "" {
		return "did you mean " + known[slices.Index(short, best)] + "?"
	}
	return "see vippsauth serve --help for the settings"
}

// closest returns the one of known with the fewest edits from name, the first of several; empty when it takes more than a
// third of the name.
func closest(name string, known []string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := editDistance(name, k); d < bestDistance || d == bestDistance && best != "" && k < best {
			best, bestDistance = k, d
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete or replace (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
