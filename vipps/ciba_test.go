package vipps_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	backchannelPath = "/vipps-login-ciba/api/backchannel/authentication"
	userExistsPath  = "/vipps-login-ciba/api/v1/user-exists"
	landingURI      = "https://app.example/_vipps/merchant/callback"
	// msisdn is the number that the tests call; no output may hold it.
	msisdn = "4790900123"
)

// ciba is the misbehaving provider with merchant-initiated logins. Fields may be changed under provider.locked.
type ciba struct {
	*provider
	ack     func(m map[string]any)                   // changes the acknowledgement
	polls   []func(http.ResponseWriter, claims) bool // what the next polls do; true: it has answered
	pending map[string]bool                          // auth_req_ids
	asked   []time.Time                              // token requests, by the provider's clock
	token   func(c claims)                           // changes the ID token
	key     signer
}

func newCIBA(t testing.TB) *ciba {
	t.Helper()
	c := &ciba{provider: newProvider(t), pending: map[string]bool{}, key: signer{"public:two", jose.ES256, newEC(t)}}
	c.keys = append(c.keys, c.key)
	c.handle(backchannelPath, c.start)
	c.handle(tokenPath, c.serveToken)
	return c
}

func (p *ciba) start(w http.ResponseWriter, r *http.Request) {
	p.locked(func() {
		id := "VYGaaAMRkI6SyAm_uIywhxsN2K" + string(rune('0'+len(p.pending)))
		p.pending[id] = true
		m := map[string]any{"auth_req_id": id, "expires_in": 600, "interval": 5}
		if p.ack != nil {
			p.ack(m)
		}
		p.answer(w, m)
	})
}

// script makes the next polls answer with these error codes, and those after them with tokens.
func (p *ciba) script(codes ...string) {
	for _, code := range codes {
		p.polls = append(p.polls, func(w http.ResponseWriter, _ claims) bool {
			respond(http.StatusBadRequest, "application/json;charset=UTF-8", `{"error":"`+code+`"}`)(w, nil)
			return true
		})
	}
}

func (p *ciba) serveToken(w http.ResponseWriter, r *http.Request) {
	p.locked(func() {
		p.asked = append(p.asked, p.clock.Now())
		now := p.clock.Now().Add(p.offset)
		c := claims{"iss": p.issuer, "aud": clientID, "sub": p.user["sub"], "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
		id := r.PostForm.Get("auth_req_id")
		switch r.PostForm.Get("grant_type") {
		case "urn:openid:params:grant-type:ciba":
		case "urn:vipps:params:grant-type:ciba-redirect":
			id, _ = strings.CutPrefix(r.PostForm.Get("code"), "code-of-")
			c["auth_req_id"] = id
		default:
			respond(http.StatusBadRequest, "application/json", `{"error":"unsupported_grant_type"}`)(w, r)
			return
		}
		if len(p.polls) > 0 {
			next := p.polls[0]
			p.polls = p.polls[1:]
			if next(w, c) {
				return
			}
		}
		if !p.pending[id] {
			respond(http.StatusBadRequest, "application/json", `{"error":"invalid_grant"}`)(w, r)
			return
		}
		delete(p.pending, id)
		if p.token != nil {
			p.token(c)
		}
		payload, _ := json.Marshal(c)
		if p.payload != nil {
			payload = p.payload(c)
		}
		raw := ""
		if p.sign != nil {
			raw = p.sign(payload)
		} else {
			raw = p.key.sign(p.t, payload)
		}
		m := map[string]any{"access_token": "ciba.W_IfBcSr-" + id, "token_type": "Bearer", "expires_in": 300, "id_token": raw}
		if p.tokens != nil {
			p.tokens(m)
		}
		p.answer(w, m)
	})
}

func startMerchant(t testing.TB, c *vipps.Client, r vipps.MerchantLoginRequest) *vipps.PendingMerchantLogin {
	t.Helper()
	if r.Phone == "" && r.CustomerToken == "" {
		r.Phone = msisdn
	}
	p, err := c.StartMerchantLogin(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The module fapi-ciba-id1-client-test in Vipps' dress: ES256, no nonce, no scope, one more poll than it takes.
func TestSec_A140_A147_MerchantLogin(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	p.script("authorization_pending")
	c := p.client()
	pending := startMerchant(t, c, vipps.MerchantLoginRequest{Scopes: []string{"name"}, Expiry: 10 * time.Minute, BindingMessage: "4MZ-CQ3"})
	form := p.last(backchannelPath).PostForm
	if form.Get("login_hint") != "urn:msisdn:"+msisdn || form.Get("scope") != "openid name" || form.Get("requested_expiry") != "600" || form.Get("binding_message") != "4MZ-CQ3" {
		t.Errorf("sent %v", form)
	}
	if _, err := c.PollMerchantLogin(t.Context(), pending); !errors.Is(err, vipps.ErrPending) {
		t.Fatalf("the first poll: %v", err)
	}
	login, err := c.PollMerchantLogin(t.Context(), pending)
	if err != nil {
		t.Fatal(err)
	}
	if login.User.Sub != testSub || login.User.Name != "Åse Ødegård" {
		t.Errorf("%+v", login.User.Claims)
	}
	if got := p.last(userinfoPath).Header.Get("Authorization"); !strings.HasPrefix(got, "Bearer ciba.") {
		t.Error("userinfo was asked with another token")
	}
}

func TestMerchantLoginInBrowser(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	c := p.client()
	pending := startMerchant(t, c, vipps.MerchantLoginRequest{RedirectURI: landingURI})
	login, found, err := c.FinishMerchantLogin(t.Context(), map[string][]string{"code": {"code-of-" + pending.AuthReqID}}, func(id string) (*vipps.PendingMerchantLogin, bool) {
		return pending, id == pending.AuthReqID
	})
	if err != nil || found != pending || login.User.Sub != testSub {
		t.Fatalf("%v, %v, %v", login, found, err)
	}
}
