// Package guess finds the name that somebody meant.
package guess

// Closest returns the known name with the fewest edits from name, the first of several; "" when it takes more than two, and
// more than a third of the name.
func Closest(name string, known []string) string {
	const longest = 64
	if len(name) > longest {
		return ""
	}
	best, fewest := "", max(2, len(name)/3)+1
	for _, k := range known {
		if n := edits(name, k); n < fewest {
			best, fewest = k, n
		}
	}
	return best
}

// edits counts the bytes to insert, delete or replace to get from a to b (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, replace)
		}
	}
	return row[len(b)]
}
