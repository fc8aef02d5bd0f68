package emulator

import (
	"iter"
	"time"
)

// Bounds of the tables. Beyond them the oldest entry goes, so that an emulator that runs for months stays small.
const (
	maxClients  = 1000
	maxPeople   = 20000
	maxEntries  = 1000 // attempts, codes, browsers
	maxConsents = 10000
	maxLog      = 256

	attemptTTL = 30 * time.Minute // how long a person may sit on the pages
)

// table is a map that forgets its oldest entry when it is full. The lock of the Emulator guards it.
type table[V any] struct {
	max   int
	byKey map[string]V
	order []string // keys by age; may hold deleted ones
}

func newTable[V any](maximum int) table[V] {
	return table[V]{max: maximum, byKey: make(map[string]V)}
}

func (t *table[V]) get(key string) (V, bool) {
	v, ok := t.byKey[key]
	return v, ok
}

func (t *table[V]) put(key string, v V) {
	if _, ok := t.byKey[key]; !ok {
		t.order = append(t.order, key)
	}
	t.byKey[key] = v
	for len(t.byKey) > t.max {
		delete(t.byKey, t.order[0])
		t.order = t.order[1:]
	}
	if len(t.order) > 2*t.max { // drop the deleted ones
		kept := make([]string, 0, t.max+1)
		for _, k := range t.order {
			if _, ok := t.byKey[k]; ok {
				kept = append(kept, k)
			}
		}
		t.order = kept
	}
}

// all gives the entries by age.
func (t *table[V]) all() iter.Seq[V] {
	return func(yield func(V) bool) {
		seen := make(map[string]bool, len(t.byKey)) // a key that was deleted and put again is in order twice
		for _, k := range t.order {
			v, ok := t.byKey[k]
			if !ok || seen[k] {
				continue
			}
			seen[k] = true
			if !yield(v) {
				return
			}
		}
	}
}

func (t *table[V]) delete(key string) { delete(t.byKey, key) }

// request is an authorize request that passed every check.
type request struct {
	clientID, redirectURI, state, nonce string
	challenge, method                   string // PKCE; empty: none was sent
	scopes                              []string
	acr                                 string // asked for and honoured
	silent                              bool
	answers                             *answers // of the person, to what was asked beside sharing
	flow, market                        string   // of the parameters of these names, less no_dialog
	appCallback                         string
	received                            time.Time
}

// step is where an attempt is.
type step string

const (
	stepLanding   step = "landing"
	stepChallenge step = "challenge"
	stepConsent   step = "consent"
	stepSpinner   step = "spinner"
	stepResume    step = "resume" // has no page: the merchant's app is on
	stepReturn    step = "return"
)

// attempt is a login under way on the pages, of one browser.
type attempt struct {
	id, csrf, browser string
	req               request
	step              step
	person            string // ID; empty until the phone number is known
	remember          bool
	typed             string // the phone number as typed, to show it again
	refused           string // why the landing page is shown again
	numbers           [3]int // on the phone
	number            int    // on the page
	authTime          time.Time
	created           time.Time
	back              string // stepReturn: where the phone goes
}

// browser is what the emulator's cookie stands for. An empty person: not remembered.
type browser struct {
	person   string
	authTime time.Time // when the person last confirmed in the app
}

// grant is a login that succeeded: what a code, and later an access token, stands for.
type grant struct {
	req      request
	person   string
	authTime time.Time
	sid      string
	issued   time.Time
	used     bool
	token    string // issued for the code, so that a second use of the code can revoke it

	flow      flow
	authReqID string
	ttl       time.Duration // of the access token; zero: as Config says
	qr        *QRCode
}

// state is everything that changes while an Emulator runs, but its keys.
type state struct {
	offset  time.Duration
	clients map[string]*Client
	people  []*Person
	known   peopleIndex

	attempts table[*attempt]
	codes    table[*grant]
	tokens   table[*grant]
	browsers table[browser]
	consents table[map[string]bool] // by consentKey: scopes
	pushes   table[*push]           // by auth_req_id
	merchant merchantState

	qrs      []*QRCode
	qrLogins table[*grant] // by auth_req_id

	apiTokens  table[apiToken]
	webhooks   []*webhook
	lanes      map[string]*lane
	deliveries []*parcel // the latest

	delays   map[string]time.Duration
	failures map[string]*failure
	breaks   map[string]int
	calls    map[string]int
	log      []Call

	noDialog string
	auto     string // person ID
	deny     string // error code
	remember bool

	ticks     []string // of Control.ConsentAnswers
	everyTime bool
}

func (s *state) init() {
	s.clients = make(map[string]*Client)
	s.known = peopleIndex{byID: make(map[string]int), byPhone: make(map[string]*Person), byToken: make(map[string]*Person)}
	s.reset()
}

// reset clears all but clients, people and QR codes.
func (s *state) reset() {
	*s = state{
		clients:  s.clients,
		people:   s.people,
		known:    s.known,
		qrs:      s.qrs,
		qrLogins: newTable[*grant](maxEntries),
		attempts: newTable[*attempt](maxEntries),
		codes:    newTable[*grant](maxEntries),
		tokens:   newTable[*grant](maxPushes),
		pushes:   newTable[*push](maxPushes),
		merchant: newMerchantState(),
		browsers: newTable[browser](maxEntries),
		consents: newTable[map[string]bool](maxConsents),

		apiTokens: newTable[apiToken](maxEntries),
		lanes:     make(map[string]*lane),

		delays:   make(map[string]time.Duration),
		failures: make(map[string]*failure),
		breaks:   make(map[string]int),
		calls:    make(map[string]int),
		noDialog: NoDialogReal,
	}
}

func (s *state) personByID(id string) *Person {
	if i, ok := s.known.byID[id]; ok {
		return s.people[i]
	}
	return nil
}

func (s *state) personByPhone(phone string) *Person {
	return s.known.byPhone[phone]
}

func consentKey(clientID, personID string) string { return clientID + "\x00" + personID }

// lacking are the scopes of req that need the person's consent and don't have it.
func (s *state) lacking(req *request, personID string) []string {
	given, _ := s.consents.get(consentKey(req.clientID, personID))
	var lack []string
	for _, sc := range req.scopes {
		if sc != "openid" && (!given[sc] || s.everyTime && boxesOf(sc) != nil) {
			lack = append(lack, sc)
		}
	}
	return lack
}

func (s *state) consent(clientID, personID string, scopes []string) {
	key := consentKey(clientID, personID)
	given, _ := s.consents.get(key)
	if given == nil {
		given = make(map[string]bool)
	}
	for _, sc := range scopes {
		given[sc] = true
	}
	s.consents.put(key, given)
}

// issue makes a code for a login that succeeded.
func (s *state) issue(req *request, personID string, authTime, now time.Time) string {
	code := newOpaque()
	s.codes.put(code, &grant{req: *req, person: personID, authTime: authTime, sid: newUUID(), issued: now})
	return code
}
