package main

import (
	"slices"
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
			client, err := vipps.New(sc.vippsConfig(c.expectedIssuer()))
			if err == nil && client.Party() == r.Client.Party() {
				clients = addPartner(append(clients, c.emulated(sc, r.RedirectURIs)), sc)
				break
			}
		}
	}
	return clients
}

// addPartner makes the last client, where it has partner keys, two: the merchant that people are logged in for, and the partner, whom the
// emulator may know already.
func addPartner(clients []emulator.Client, sc *config) []emulator.Client {
	if sc.clientAuth != vipps.ClientAuthPartner {
		return clients
	}
	merchant := &clients[len(clients)-1]
	partner := emulator.Client{ID: merchant.ID, Secret: merchant.Secret, Name: merchant.Name, Partner: true}
	merchant.ID, merchant.MSN = "merchant-"+sc.msn, sc.msn
	if slices.ContainsFunc(clients, func(c emulator.Client) bool { return c.ID == partner.ID }) {
		return clients
	}
	return append(clients, partner)
}
