package merchant

import (
	_ "embed"
	"net/http"
	"strconv"
)

// openAPIFile describes the API in OpenAPI 3.1. It is written by hand; the tests hold every answer against it.
//
//go:embed openapi.json
var openAPIFile []byte

// openAPI serves the description. There is nothing in it about this service.
func (a *API) openAPI(w http.ResponseWriter, r *http.Request, _, _ string) error {
	if _, err := readQuery(r.URL); err != nil {
		return err
	}
	h := w.Header()
	neverCache(h)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(openAPIFile)))
	_, _ = w.Write(openAPIFile) // the client went away: nobody is left to tell
	return nil
}
