// Package hostile reads the files of hostile inputs in testdata/hostile, for tests only.
//
// One input a line. Empty lines, and lines that begin with "# ", are left out. \xNN is a byte and \uNNNN a character, both
// in hexadecimal; {N*text} is text N times; everything else is itself.
package hostile

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Lines returns the inputs of a file. A file without any is an error.
func Lines(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.SplitSeq(string(data), "\n") {
		if line != "" && line != "#" && !strings.HasPrefix(line, "# ") {
			lines = append(lines, Unescape(line))
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s has no inputs", path)
	}
	return lines, nil
}

// Unescape returns the input that a line stands for.
func Unescape(line string) string {
	line = regexp.MustCompile(`\{[0-9]{1,7}\*[^}]*\}`).ReplaceAllStringFunc(line, func(m string) string {
		count, text, _ := strings.Cut(m[1:len(m)-1], "*")
		n, _ := strconv.Atoi(count) // of digits only
		return strings.Repeat(text, n)
	})
	return regexp.MustCompile(`\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}`).ReplaceAllStringFunc(line, func(m string) string {
		n, _ := strconv.ParseUint(m[2:], 16, 32) // of digits only
		if m[1] == 'x' {
			return string([]byte{byte(n)}) //nolint:gosec // two digits
		}
		return string(rune(n)) //nolint:gosec // four digits
	})
}
