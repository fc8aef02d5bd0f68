package vipps

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// metadata is what we need of the provider's configuration. What it lists as
// supported (scopes, algorithms, grants) is not consulted: Vipps MobilePay
// leaves out much that it supports.
type metadata struct {
	oidc.ProviderConfig
	// sendsIssuer says that callbacks carry iss (RFC 9207 §3).
	sendsIssuer bool
	// backchannelURL is as it came: a bad one is no reason to refuse logins in a browser.
	backchannelURL string
}

// discoveryURL follows OpenID Connect Discovery §4.1: a slash at the issuer's
// end goes before the path is appended. It is still part of the issuer.
func discoveryURL(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

func (c *Client) fetchMetadata(ctx context.Context) (*metadata, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, discoveryURL(c.cfg.Issuer), nil)
	if err != nil {
		return nil, 0, c.fail(StageDiscovery, CodeInvalidMetadata, "the issuer makes no URL")
	}
	a, err := c.do(ctx, StageDiscovery, req)
	if err != nil {
		return nil, 0, err
	}
	md, err := c.parseMetadata(a.body)
	if err != nil {
		return nil, 0, err
	}
	return md, freshness(a.header), nil
}

func (c *Client) parseMetadata(body []byte) (*metadata, error) {
	o, err := decodeObject(body)
	if err != nil {
		return nil, c.fail(StageDiscovery, CodeInvalidMetadata, err.Error())
	}
	issuer, _ := o.text("issuer")
	if issuer != c.cfg.Issuer {
		return nil, c.fail(StageDiscovery, CodeIssuerMismatch,
			fmt.Sprintf("the provider names the issuer %q", cleanText(issuer)))
	}
	md := &metadata{ProviderConfig: oidc.ProviderConfig{IssuerURL: issuer}}
	for _, endpoint := range []struct {
		name     string
		to       *string
		optional bool
	}{
		{"authorization_endpoint", &md.AuthURL, false},
		{"token_endpoint", &md.TokenURL, false},
		{"jwks_uri", &md.JWKSURL, false},
		{"userinfo_endpoint", &md.UserInfoURL, true},
	} {
		if endpoint.optional && !o.has(endpoint.name) {
			continue
		}
		*endpoint.to, _ = o.text(endpoint.name)
		if err := checkEndpoint(*endpoint.to, strings.HasPrefix(c.cfg.Issuer, "http://")); err != nil {
			return nil, c.fail(StageDiscovery, CodeInvalidMetadata, endpoint.name+" "+err.Error())
		}
	}
	if name := "backchannel_authentication_endpoint"; o.has(name) {
		if md.backchannelURL, _ = o.text(name); md.backchannelURL == "" {
			md.backchannelURL = "no text"
		}
	}
	// Absent or of another type means false.
	_ = json.Unmarshal(o["authorization_response_iss_parameter_supported"], &md.sendsIssuer)
	return md, nil
}
