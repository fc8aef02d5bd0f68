//go:build linux && race

package main

// raceDetector says that the tests run with it, and so do the services that they start.
const raceDetector = true
