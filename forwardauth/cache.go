package forwardauth

import (
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	cacheShardBits = 6
	cacheShards    = 1 << cacheShardBits
	cacheCapacity  = 16384 // opened sessions of one site
	shardCapacity  = cacheCapacity / cacheShards
)

// openedCache keeps sessions that were opened lately, so that the cookie of a busy browser is unsealed once.
// One belongs to one site and one purpose, and its key is the whole value of the cookie, compared in full.
// It never answers with an entry past its end; see [Engine.forget] for logout. It is bounded by the clock
// algorithm, in shards, so that requests on several cores hardly ever meet at one lock.
type openedCache struct {
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu   sync.RWMutex
	m    map[string]*cacheEntry
	ring []*cacheEntry
	hand int
	_    [64]byte // keeps neighbouring locks out of one cache line
}

type cacheEntry struct {
	value  string
	opened *opened
	recent atomic.Bool
	slot   int
}

// shard picks by the last bytes of the value: of a sealed cookie those are its authentication code. Values
// that don't open are never kept, so nobody can aim at one shard.
func (c *openedCache) shard(value string) *cacheShard {
	var tail uint64
	if n := len(value) - 8; n >= 0 {
		tail = binary.LittleEndian.Uint64([]byte(value[n:]))
	}
	return &c.shards[tail*0x9e3779b97f4a7c15>>(64-cacheShardBits)] // Fibonacci hashing
}

func (c *openedCache) get(value string) *opened {
	s := c.shard(value)
	s.mu.RLock()
	e := s.m[value]
	s.mu.RUnlock()
	if e == nil {
		return nil
	}
	if !e.recent.Load() {
		e.recent.Store(true)
	}
	return e.opened
}

func (c *openedCache) put(value string, o *opened) {
	s := c.shard(value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[string]*cacheEntry)
	}
	if s.m[value] != nil {
		return // the same value always opens to the same session
	}
	value = strings.Clone(value) // not the whole Cookie header that it is a part of
	e := &cacheEntry{value: value, opened: o}
	if len(s.ring) < shardCapacity {
		e.slot = len(s.ring)
		s.ring = append(s.ring, e)
		s.m[value] = e
		return
	}
	for s.ring[s.hand] != nil && s.ring[s.hand].recent.CompareAndSwap(true, false) {
		s.hand = (s.hand + 1) % shardCapacity
	}
	if old := s.ring[s.hand]; old != nil {
		delete(s.m, old.value)
	}
	e.slot = s.hand
	s.ring[s.hand] = e
	s.m[value] = e
	s.hand = (s.hand + 1) % shardCapacity
}

func (c *openedCache) remove(value string) {
	s := c.shard(value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.m[value]; e != nil {
		delete(s.m, value)
		s.ring[e.slot] = nil
	}
}
