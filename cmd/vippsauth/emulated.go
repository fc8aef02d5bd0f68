package main

import (
	"strings"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
	"github.com/vippsauth/vippsauth/webhook"
)

// emulated is a site's client as the emulator of environment emulator knows it: with all that a sales unit would have to have for the
// settings to work.
func (c *config) emulated(sc *config, redirectURIs []string) emulator.Client {
	id, secret := sc.credentials()
	client := emulator.Client{
		ID: id, Secret: secret.Reveal(), Name: sc.displayName(), RedirectURIs: redirectURIs, AuthMethod: emulator.AuthBasic,
		Advanced: sc.acrValues != "",
	}
	if sc.clientAuth == vipps.ClientAuthPost {
		client.AuthMethod = emulator.AuthPost
	}
	for _, p := range sc.policies {
		client.Advanced = client.Advanced || p.ACRValues != ""
	}
	switch uri := c.app.callbackURI; {
	case strings.HasPrefix(uri, "https:"), strings.HasPrefix(uri, "http:"):
		client.RedirectURIs = append(client.RedirectURIs, uri)
	case uri != "":
		client.AppURIs = []string{uri}
	}
	if origin := c.firstOrigin(); c.consentRevokedSecret != "" && origin != "" {
		client.ConsentRevokedURI = origin + webhook.ConsentRevokedPath + c.consentRevokedSecret.Reveal()
	}
	return client
}

// emulatedClients are the clients of all sites.
func (c *config) emulatedClients(known []forwardauth.Registration) []emulator.Client {
	var clients []emulator.Client
	for _, r := range known {
		for _, sc := range c.all() {
			if id, _ := sc.credentials(); id == r.Client.ClientID() {
				clients = append(clients, c.emulated(sc, r.RedirectURIs))
				break
			}
		}
	}
	return clients
}
