package main

import (
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// legacyApp is an application as there are many: it shows pages, knows nothing of login, and takes whoever its request
// headers name. The demo stands vippsauth in front of it.
type legacyApp struct {
	links []legacyLink // what the page links to besides the logout
}

type legacyLink struct{ Href, NO, EN string }

// A legacyHeader is a request header as the page shows it.
type legacyHeader struct{ Name, Value string }

type legacyView struct {
	Norwegian bool
	Name, Sub string
	Path      string
	Headers   []legacyHeader
	Links     []legacyLink
}

func (a *legacyApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := legacyView{
		Norwegian: prefersNorwegian(r.Header.Get("Accept-Language")),
		Name:      r.Header.Get("X-Vipps-Name"),
		Sub:       r.Header.Get("X-Vipps-Sub"),
		Path:      r.URL.RequestURI(),
		Links:     a.links,
	}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Vipps-") {
			for _, value := range values {
				v.Headers = append(v.Headers, legacyHeader{name, value})
			}
		}
	}
	slices.SortFunc(v.Headers, func(a, b legacyHeader) int { return strings.Compare(a.Name, b.Name) })
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language")
	_ = legacyPage.Execute(w, v) // the client may be gone
}

var legacyPage = template.Must(template.New("app").Parse(`<!doctype html>
<html lang="{{if .Norwegian}}nb{{else}}en{{end}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{if .Norwegian}}Båtforeningen{{else}}The boat club{{end}}</title>
<style>
body{font:1rem/1.5 Georgia,serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color:#222;background:#f4f1e8}
h1{border-bottom:3px double #7a6a3a;padding-bottom:.3rem}
table{border-collapse:collapse;width:100%;background:#fff}
th,td{border:1px solid #cbbf9d;padding:.3rem .6rem;text-align:left;font:.9rem/1.4 monospace;overflow-wrap:anywhere}
nav a{margin-right:1.2rem}
</style></head>
<body><main>
<h1>{{if .Norwegian}}Båtforeningens gamle medlemsside{{else}}The boat club's old member page{{end}}</h1>
{{if .Name}}<p id="greeting">{{if .Norwegian}}Hei, {{else}}Hello, {{end}}<strong id="name">{{.Name}}</strong>!</p>
{{else if .Sub}}<p id="greeting">{{if .Norwegian}}Hei, medlem!{{else}}Hello, member!{{end}}</p>
{{else}}<p id="greeting">{{if .Norwegian}}Hei, hvem du nå er.{{else}}Hello, whoever you are.{{end}}</p>{{end}}
{{if .Sub}}<p>{{if .Norwegian}}Du er medlem{{else}}You are member{{end}} <code id="sub">{{.Sub}}</code>.</p>{{end}}
<p>{{if .Norwegian}}Denne siden vet ingenting om innlogging. Den ble bedt om <code>{{.Path}}</code>, og fikk disse feltene med:{{else}}This page knows nothing of login. It was asked for <code>{{.Path}}</code>, and got these headers along:{{end}}</p>
<table><thead><tr><th scope="col">{{if .Norwegian}}Felt{{else}}Header{{end}}</th><th scope="col">{{if .Norwegian}}Verdi{{else}}Value{{end}}</th></tr></thead>
<tbody>{{range .Headers}}<tr><td>{{.Name}}</td><td>{{.Value}}</td></tr>{{else}}<tr><td colspan="2">–</td></tr>{{end}}</tbody></table>
<nav><p>{{range .Links}}<a href="{{.Href}}">{{if $.Norwegian}}{{.NO}}{{else}}{{.EN}}{{end}}</a> {{end}}<a id="logout" href="/_vipps/logout">{{if .Norwegian}}Logg ut{{else}}Log out{{end}}</a></p></nav>
</main></body></html>
`))

// prefersNorwegian reports whether the first language of an Accept-Language header is Norwegian.
func prefersNorwegian(accept string) bool {
	first, _, _ := strings.Cut(accept, ",")
	first, _, _ = strings.Cut(strings.TrimSpace(first), ";")
	primary, _, _ := strings.Cut(strings.ToLower(first), "-")
	return primary == "nb" || primary == "nn" || primary == "no"
}
