package main

import (
	"slices"
	"strings"

	"github.com/vippsauth/vippsauth/internal/guess"
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

// closest returns the one of known that name was meant to be, the first in the alphabet of several; empty when none is near.
func closest(name string, known []string) string {
	return guess.Closest(name, slices.Sorted(slices.Values(known)))
}
