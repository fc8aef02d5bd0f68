package forwardauth

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Attack: an X-Vipps-Sub that is spelled with a letter that only Unicode takes for an s. No proxy overwrites it.
func TestSec_B007_UnicodeSpellingsAreAliases(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"X-Vipps-\u017fub", "X-Vipps-\u017fUB", "x-vipps-\u017fub"} {
		if got, has := testStripper().hasAlias(http.Header{name: {"x"}}); !has || got != name {
			t.Errorf("hasAlias(%q) = %q, %t", name, got, has)
		}
	}
	s := newStripper([]headerSpec{{Name: "X-Vipps-Oauth2", Claim: "sub"}})
	for name, want := range map[string]bool{"X-Vipps-Oauth2": false, "x-vipps-oauth2": false, "X-Vipps_Oauth2": true} {
		if _, has := s.hasAlias(http.Header{name: {"x"}}); has != want {
			t.Errorf("hasAlias(%q) = %t", name, has)
		}
	}
}

// Only Connection is taken apart, and of it only the lines that name a header of ours: everything else reaches the app as
// it was sent.
func TestSec_B078_OtherLinesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	h := http.Header{
		"Connection": {"X-Vipps-Sub", " close ,,te", "Upgrade"},
		"User-Agent": {"X-Vipps-Sub, x"}, // ten letters, as Connection
		"Keep-Alive": {"x-vipps-sub"},
	}
	testStripper().clean(h)
	want := http.Header{"Connection": {" close ,,te", "Upgrade"}, "User-Agent": {"X-Vipps-Sub, x"}, "Keep-Alive": {"x-vipps-sub"}}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
}

// A request without a body has no trailers to wait for, even if it was made by hand and does not say how long it is.
func TestNoBodyIsNotWrapped(t *testing.T) {
	t.Parallel()
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		r := &http.Request{ContentLength: -1, Body: body, Trailer: http.Header{"X-Vipps-Sub": {"x"}}}
		testStripper().cleanTrailer(r)
		if r.Body != body || len(r.Trailer) != 0 {
			t.Errorf("%T became %T, the trailers are %v", body, r.Body, r.Trailer)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(bytes.NewReader([]byte("x"))))
	testStripper().cleanTrailer(r)
	if _, ok := r.Body.(*trailerGuard); !ok || r.ContentLength != -1 {
		t.Errorf("a body of unknown length is %T", r.Body)
	}
}

// What the log says of a question that can't be judged is what a proxy's administrator needs: which header, and whether
// it is missing, empty, doubled or malformed.
func TestSec_B060_OriginalsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	extAuthz := func(h http.Header) (Original, error) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RequestURI, r.Host, r.Header = "/_vipps/authz/ext-authz/default/a", "app.example", h
		return fromExtAuthz(r)
	}
	for name, tt := range map[string]struct {
		read func(http.Header) (Original, error)
		good http.Header
	}{
		"forward-auth": {fromForwardAuth, forwardedHeaders("GET", "https", "app.example", "/a")},
		"auth-request": {fromAuthRequest, originalHeaders("GET", "https://app.example/a")},
		"ext-authz":    {extAuthz, http.Header{"X-Forwarded-Proto": {"https"}}},
	} {
		if _, err := tt.read(tt.good); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for header, good := range tt.good {
			for problem, values := range map[string][][]string{
				"missing": {nil, {}}, "empty": {{""}}, "malformed": {{" "}},
				"doubled": {{good[0], good[0]}, {good[0], ""}, {"", ""}},
			} {
				for _, value := range values {
					h := maps.Clone(tt.good)
					h[header] = value
					o, err := tt.read(h)
					var bad *originalError
					if !errors.As(err, &bad) || *bad != (originalError{header, problem}) || o.Method != "" || o.URI != "" {
						t.Errorf("%s: %s %q: %v, %+v", name, header, value, err, o)
					}
				}
			}
		}
	}
}

// A request made by hand may have no URL. It is nobody's, and no panic.
func TestFromRequestWithoutURL(t *testing.T) {
	t.Parallel()
	o := fromRequest(&http.Request{Method: http.MethodGet, Host: "app.example"}, "https")
	if diff := cmp.Diff(Original{Method: "GET", Scheme: "https", Host: "app.example"}, o); diff != "" {
		t.Error(diff)
	}
	if _, err := o.checked(); err == nil {
		t.Error("it is judged")
	}
}

// What the client asked for counts, also where it asked for no path, and whatever became of the URL since.
func TestFromRequestBeforeARewrite(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"*", "/a"} {
		r := &http.Request{Method: http.MethodOptions, Host: "app.example", RequestURI: target, URL: &url.URL{Path: "/public"}}
		if o := fromRequest(r, "https"); o.URI != target {
			t.Errorf("%s became %s", target, o.URI)
		}
	}
}

// Attack: a form of another site whose Referer is cut to nothing, or to a path, by whoever passes it on.
func TestSec_A132_RefererWithoutAnOrigin(t *testing.T) {
	t.Parallel()
	for referer, want := range map[string]bool{"": false, "/": false, "/_vipps/logout": false, "?x": false, "https://app.example?x": true} {
		if got := sameOriginPost(&http.Request{Header: http.Header{"Referer": {referer}}}, "https://app.example"); got != want {
			t.Errorf("%q: %t", referer, got)
		}
	}
}

// Attack: a page lets the browser fetch another one in advance, and nobody asked for it. No login begins.
func TestSec_A128_FetchedInAdvance(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		for _, value := range []string{"prefetch", "PREFETCH", "prerender", "Preview", "prefetch;anonymous-client-ip", "x, preview"} {
			h := http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {"text/html"}, header: {"x", value}}
			if got := classify(&Original{Method: "GET", Header: h}); got != kindPageOtherWay {
				t.Errorf("%s: %s: %d", header, value, got)
			}
		}
	}
}
