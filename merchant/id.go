package merchant

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

const (
	idVersion = 1
	maxCaller = 256
)

// idKey is what is random in an id.
type idKey [16]byte

// digest is a keyed hash, of what must not lie about in memory and needn't.
type digest [16]byte

// ids makes ids and reads them.
type ids struct {
	box    *session.Box
	epoch  [8]byte  // of this process: tells what was forgotten from what was lost
	secret [32]byte // of this process, for digests
}

func newIDs(s settings) (*ids, error) {
	box, err := newBox(s, "merchant login id")
	if err != nil {
		return nil, err
	}
	i := &ids{box: box}
	_, _ = rand.Read(i.epoch[:]) // never fails: the program would end
	_, _ = rand.Read(i.secret[:])
	return i, nil
}

func newBox(s settings, purpose string) (*session.Box, error) {
	return session.NewBox(s.Keys, session.Binding{Purpose: purpose, Issuer: s.Client.Issuer(), ClientID: s.Client.Party(), Site: "merchant"})
}

// digest hashes texts of a kind, so that nobody who reads the memory can try all phone numbers without the secret too.
func (i *ids) digest(kind string, texts ...string) digest {
	return digestWith(i.secret[:], kind, texts...)
}

func digestWith(secret []byte, kind string, texts ...string) (d digest) {
	h := hmac.New(sha256.New, secret)
	b := session.AppendText(nil, kind)
	for _, text := range texts {
		b = session.AppendText(b, text)
	}
	_, _ = h.Write(b) // a hash never fails
	copy(d[:], h.Sum(nil))
	return d
}

func newKey() (k idKey) {
	_, _ = rand.Read(k[:]) // never fails: the program would end
	return k
}

// seal makes the id of a login.
func (i *ids) seal(caller string, key idKey, created time.Time) (string, error) {
	b := session.AppendVersion(nil, idVersion)
	b = session.AppendText(b, caller)
	b = session.AppendTime(b, created)
	b = session.AppendText(b, string(i.epoch[:]))
	b = session.AppendText(b, string(key[:]))
	return i.box.Seal(b)
}

// given is what an id says of itself.
type given struct {
	key     idKey
	created time.Time
	here    bool // by this process
}

// open reads the id of a caller's own login. Any other is ErrUnknown, and looked at no further.
func (i *ids) open(caller, id string) (g given, err error) {
	payload, err := i.box.Open(id)
	if err != nil {
		return g, ErrUnknown
	}
	r := session.NewReader(payload)
	version, owner := r.Version(), r.Text()
	g.created = r.Time()
	epoch, key := r.Text(), r.Text()
	if r.Done() != nil || version != idVersion || len(key) != len(g.key) || subtle.ConstantTimeCompare([]byte(owner), []byte(caller)) != 1 {
		return given{}, ErrUnknown
	}
	copy(g.key[:], key)
	g.here = epoch == string(i.epoch[:])
	return g, nil
}
