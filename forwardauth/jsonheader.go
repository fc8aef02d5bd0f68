package forwardauth

import (
	"encoding/json"
	"strings"
)

// isJSON reports a value that is an object or a list, and no text that somebody wrote.
func isJSON(value string) bool {
	return value != "" && (value[0] == '{' || value[0] == '[') && json.Valid([]byte(value))
}

// plainQuotes takes from JSON the quotation marks whose ASCII spelling would end the text that they stand in.
func plainQuotes() *strings.Replacer {
	return strings.NewReplacer("“", "'", "”", "'", "«", "'", "»", "'")
}
